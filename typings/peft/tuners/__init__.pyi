from peft.tuners import lora as lora
