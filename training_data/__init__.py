"""What the shipped specialists are trained on: one module a specialist, the same rows for the same seed.

Own code and own words, but for the conversions of public data sets, which read a file that is named on the
command line: `python -m training_data.mail --rows 6500 --seed 0 > mail.jsonl`. docs/specialists.md says more.
"""
