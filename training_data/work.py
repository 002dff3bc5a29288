"""Companies and professions, made up."""

import random

from training_data.people import last_name

__all__ = ["company", "profession"]

FIRST = """North|Blue|Clear|Bright|Open|Smart|Green|Silver|Urban|Data|Cloud|Health|Solar|Quantum|Rapid
Prime|Global|Metro|Vertex|Harbor|Summit|Nova|Lumen|Pixel|Terra|Zephyr|Granite|Maple|Cobalt|Anchor|Beacon
Civic|Rocket|Ember"""
SECOND = """Bridge|Works|Metrics|Health|Logistics|Analytics|Energy|Capital|Partners|Systems|Research
Foods|Motors|Media|Insurance|Consulting|Robotics|Networks|Bank|Pharma|Textiles|Airlines|Labs|Credit
Freight|Ratings|Movers|Finance|Software"""
COINED = """Veridon|Appsol|Quorela|Mendify|Trulio|Kestra|Nimbly|Zentra|Ravelio|Oxelis|Fintrix|Cartova
Medlink|Bizzo|Hydrix"""
HEADS = "data health pay walk green sig real zip rent core med bright trade farm credit air book".split()
TAILS = "market ly able ify cadence score fig nest wise stack pulse grid dock loop path forge".split()
KNOWN = """Siemens|Nestlé|Toyota|Vodafone|Carrefour|Unilever|Novartis|Philips|Nokia|Lufthansa|Intel
Oracle|Adobe|Visa|Zara"""
SUFFIXES = """Inc|Inc.|LLC|Ltd|Ltd.|GmbH|Group|PLC|Corporation|& Co|Incorporated|S.A.|AG|and Sons
Foundation|International"""
JOBS = """nurse|plumber|carpenter|electrician|dentist|pilot|school teacher|software engineer
data analyst|truck driver|librarian|bookkeeper|tax adviser|head chef|welder|bricklayer|florist
interior designer|civil engineer|tour guide|customer service representative|executive assistant
marketing manager|sales associate|fire fighter|police sergeant|professor of law|museum curator
physiotherapist|radio operator|crane operator|bus mechanic|payroll clerk|court reporter|security guard
social worker|speech therapist|telephone operator|wood machinist|travel agent|film editor|stage manager
quality control inspector|medical laboratory technician|insurance underwriter|human resources director
painter|farm worker|Nuclear technician|Machine feeder|Baggage porter|Private secretary|Loan officer
Athletic trainer|Shoe repairer|Roofer|Web developer|Landscape architect|Hotel desk clerk|Tile setter
Dental assistant|Warehouse supervisor|Fashion model"""


def company(chance: random.Random) -> str:
    shape = chance.random()
    if shape < 0.15:
        return f"{last_name(chance)}, {last_name(chance)} and {last_name(chance)}"
    if shape < 0.25:
        return f"{last_name(chance)}-{last_name(chance)}"
    if shape < 0.40:
        return f"{last_name(chance)} {chance.choice(SUFFIXES.split('|'))}"
    if shape < 0.50:
        return chance.choice(_list(KNOWN))
    if shape < 0.62:
        coined = f"{chance.choice(HEADS)}{chance.choice(TAILS)}".capitalize()
        name = chance.choice((*_list(COINED), *[coined] * 20))
        return name + chance.choice(("", "", " Inc", " Group", " LLC"))
    name = chance.choice(_list(FIRST)) + chance.choice((" ", " ", " ", "")) + chance.choice(_list(SECOND))
    if " " not in name:
        name = name.capitalize()
    return f"{name} {chance.choice(SUFFIXES.split('|'))}" if chance.random() < 0.35 else name


def profession(chance: random.Random) -> str:
    job = chance.choice(_list(JOBS))
    return job.capitalize() if chance.random() < 0.45 else job


def _list(text: str) -> list[str]:
    return text.replace("\n", "|").split("|")
