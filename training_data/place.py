"""Places and addresses: cities, countries, streets, and the ways in which people write an address."""

import random

from training_data.people import last_name

__all__ = ["address", "city", "country", "nationality", "pieces", "postcode", "street"]

CITIES = """Lyon|Graz|Turku|Szeged|Porto|Utrecht|Aarhus|Kraków|Brno|Split|Ljubljana|Reykjavík|Tartu
Bergen|Malmö|Ghent|Nuuk|Seville|Palermo|Leeds|Inverness|Cork|Boise|Tulsa|Hobart|Dunedin|Nairobi|Accra
Osaka|Busan|Hanoi|Chiang Mai|Jaipur|Shiraz|Amman|Haifa|Izmir|Patras|Λάρισα|Λεμεσός|Nicosia|Tunis|Fès
Asmara|Enugu|Cusco|Rosario|Belo Horizonte|San Juan|Saint-Étienne|Bad Ischl|La Chaux-de-Fonds
New Plymouth|Port Elizabeth|Stoke-on-Trent|Santiago de Compostela|Fort Wayne|St. John's|Upper Hutt
West Ryde|Great Yarmouth|Villa del Prado|Ústí nad Labem|Chur|Zwolle|Kaposvár|Tromsø|Umeå|Oulu|Paris
London|Berlin|Rome|Madrid|New York|Boston|Chicago|Denver|Seattle|Toronto|Vancouver|Sydney|Tokyo|Mumbai
Cairo|Mill Creek|Port Isabel|Clear Lake|Sandy Springs|Mount Pleasant|Saint-Malo|Aix-les-Bains|Le Havre
Bad Tölz|Neustadt an der Aisch|Hoorn|'s-Hertogenbosch|Dendermonde|Sint-Niklaas|Kongsberg|Lillehammer
Härnösand|Norrtälje|Kemi|Rovaniemi|Pärnu|Haapsalu|Zielona Góra|Jelenia Góra|České Budějovice|Litomyšl
Dolní Morava|Székesfehérvár|Győr|Slavonski Brod|Zadar|Novo Mesto|Cluj-Napoca|Piatra Neamț|Volos|Χανιά
Paphos|San Sebastián de la Gomera|Mora de Toledo|Vila Nova de Gaia|Póvoa de Varzim|Feira de Santana
Reggio Calabria|Sant'Agata|Castel del Monte|Ilulissat|Akureyri|Ísafjörður|Hvolsvöllur|Sousse|Zarzis
Gold Coast|Wagga Wagga|Alice Springs|Palmerston North|Grand Forks|Medicine Hat|Trois-Rivières|Moose Jaw
Oak Hill|Green River|Stonehaven|Ashford|Kingsbridge|Lake View|Red Bluff|Pine Ridge"""
COUNTRIES = """Austria|Belgium|Brazil|Canada|Cyprus|Denmark|Estonia|Finland|France|Germany|Greece
Greenland|Hungary|Iceland|Ireland|Italy|Japan|Kenya|Mexico|Morocco|Netherlands|New Zealand|Norway|Peru
Poland|Portugal|Romania|Slovenia|South Africa|South Korea|Spain|Sweden|Switzerland|Tunisia|Turkey
Uruguay|United Kingdom|United States|Vietnam|India|Australia|Czech Republic|Croatia|Serbia|Ukraine
Thailand|Nigeria|Cyprus (Anglicized)|UK|USA"""
NATIONS = """Austrian|Belgian|Brazilian|Canadian|Cypriot|Danish|Estonian|Finnish|French|German|Greek
Hungarian|Icelandic|Irish|Italian|Japanese|Kenyan|Mexican|Moroccan|Dutch|Norwegian|Peruvian|Polish
Portuguese|Romanian|Slovenian|Spanish|Swedish|Swiss|Tunisian|Turkish|Vietnamese|Indian|Australian|Czech
Croatian|Serbian|Ukrainian|Thai|Nigerian|Korean|Chinese|Russian|Scottish|Welsh|American|English
Ethiopian|Chilean|Cuban|Egyptian|Lebanese|Persian|Filipino"""
STREETS = """{n} {w} Street|{n} {w} Road|{n} {w} Avenue|{n} {w} St|{n} {w} Drive|{n} {w} Lane
{n} {w} Close|{n} {w} Place|{n} {w} Court|{n} {w} Crescent|{n} Rue {w}|{n} avenue de {w}
{n} boulevard {w}|{w}straße {n}|{w}gasse {n}|{w}weg {n}|{w}straat {n}|{w}laan {n}|Via {w} {n}
Viale {w} {n}|Calle {w} {n}|C/ {w} {n}|Avenida {w} {n}|Rúa {w} {n}|R {w} {n}|Rua {w} {n}|{w}vägen {n}
{w}gatan {n}|{w}gata {n}|{w}vej {n}|{w}katu {n}|{w}tie {n}|ul. {w} {n}|{w} u. {n}.|{w}ova {n}|{w}ská {n}
{w} tänav {n}|{n} {w} Way|{n} {w} Terrace|{w} {n}|Λεωφόρος {w} {n}|{w} Platz {n}|{n} Mount {w}
{w}hof {n}"""
BARE = """{w} Street|{w} Road|{w} Avenue|Rue {w}|{w}straße|Via {w}|Calle {w}|{w} Lane|{w} Heights
{w} Parks|{w} Crossing|{w} Mews|{w} Harbour|{w}vej|{w} Squares|{w} Coves"""
WORDS = """Linden|Maple|Church|Station|Mill|Victoria|Park|High|Garden|Orchard|River|King|Queen|Castle
Market|School|Bridge|Elm|Chestnut|Harbour|Spring|Forest|Sunset|Meadow|North|Summer|Birken|Rosen|Schul
Bahnhof|Kirch|Dorf|Stor|Ny|Koivu|Aleksander|Roma|Mayor|Sol|Liberty|Jefferson|Gold|Stone|Wool|Copper
Hazel|Señores|Curas|Isla|Miranda|Hidalgo|Berg|Haupt|Ring|Acker|Wiesen|Kloster|Strand|Skov|Nygaard|Skole
Mäki|Ranta|Fő|Petőfi|Kossuth|Dlouhá|Husova|Lipová|Polna|Szkolna|Garibaldi|Mazzini|Verdi|Colombo|Pasteur
Hugo|Gare|Moulin|Fontaine|Santos|Pessoa|Flores|Palmeiras|Isaac|Pollen|Seneca|Consul|Willow|Cedar|Harvest"""
STATES = (
    "AL AK AZ CA CO FL GA HI IA ID IL KS KY LA MA MI MN NC NE NJ NM NV NY OH OR PA TN TX UT VA WA".split()
)
MILITARY = ("AA", "AE", "AP")


def words(text: str) -> list[str]:
    return text.replace("\n", "|").split("|")


def city(chance: random.Random) -> str:
    name = chance.choice(words(CITIES))
    if chance.random() < 0.2:
        ends = ("ville", "by", "stad", "burg", "ton", "ovo", "nen", "dorf", "minde", "ária", "ice", "sjö")
        name = last_name(chance).split()[-1][:6].rstrip("'-") + chance.choice(ends)
    return name.upper() if chance.random() < 0.25 else name


def country(chance: random.Random) -> str:
    return chance.choice(words(COUNTRIES))


def nationality(chance: random.Random) -> str:
    return chance.choice(words(NATIONS))


def street(chance: random.Random, *, numbered: bool = True) -> str:
    shape = chance.choice(words(STREETS if numbered else BARE))
    word = chance.choice(words(WORDS)) if chance.random() < 0.55 else last_name(chance)
    if shape[0] != "{" or "}s" not in shape:
        word = word if chance.random() < 0.85 else f"{word} {chance.choice(words(WORDS))}"
    return shape.format(n=chance.randint(1, 180), w=word)


def postcode(chance: random.Random) -> str:
    digits = f"{chance.randint(10000, 99999)}"
    letters = "".join(chance.choice("ABCDEGHJKLMNPRSTVW") for _ in range(4))
    shapes = (
        *(digits, digits, digits[:4], digits[:4], f"{digits[:3]} {digits[3:]}", f"{digits[:2]}-{digits[2:]}"),
        f"{digits[:4]} {letters[:2]}",
        f"{letters[:2]}{digits[0]} {digits[1]}{letters[2:]}",
        f"{digits}-{chance.randint(1000, 9999)}",
    )
    return chance.choice(shapes)


def building(chance: random.Random) -> str:
    return chance.choice((f"{chance.randint(0, 999):03}", f"{chance.randint(0, 9999):04}", _five(chance)))


def unit(chance: random.Random) -> str:
    return chance.choice(("Apt. ", "Suite ", "Apt ", "Flat ", "Unit ", "Apt. ", "Suite ")) + (
        f"{chance.randint(0, 999):03}" if chance.random() < 0.8 else str(chance.randint(1, 60))
    )


def address(chance: random.Random) -> str:
    """All of it as one span: a street, or up to the country, in the layouts of letters, forms and chats."""
    shape = chance.random()
    if shape < 0.15:
        return street(chance)
    if shape < 0.22:
        return _military(chance)
    if shape < 0.30:
        corner = chance.choice(("the corner of ", "the corner of ", "the intersection of ", ""))
        return (
            f"{corner}{street(chance, numbered=chance.random() < 0.5)} and {street(chance, numbered=False)}"
        )
    line = f"{building(chance)} {street(chance)}" if chance.random() < 0.6 else street(chance)
    where, land, code = city(chance), country(chance), postcode(chance)
    state, nothing = chance.choice(STATES), chance.choice(("", "nan", land))
    layout = chance.choice(
        (
            f"{line}\n {unit(chance)}\n {where}\n {land} {code}",
            f"{line}\n {unit(chance)}\n {where}\n {land}",
            f"{line} {unit(chance)}\n{where}, {state} {code}",
            f"{line} {unit(chance)}, {where}, {land} {code}",
            f"{line} {unit(chance)}, {where}, {land}",
            f"{line} {unit(chance)} {where} {nothing} {code}",
            f"{line}, {where}, {land}",
            f"{line}, {code} {where}",
            f"{line}, {where} {code}",
            f"{line}\n{code} {where}\n{land}",
            f"{line}\n{where}\n, {state}\n {land} {code}",
            f"{line}, {unit(chance)}, {where}, {state} {code}",
        )
    )
    return layout.lower() if chance.random() < 0.08 else layout.replace("  ", " ")


def pieces(chance: random.Random) -> list[tuple[str, str]]:
    """An address that stands alone, as (type, text) in order: parts of it, each on its own."""
    parts = [("STREET_ADDRESS", building(chance)), ("STREET_ADDRESS", street(chance))]
    if chance.random() < 0.8:
        parts.append(("STREET_ADDRESS", unit(chance)))
    parts += [("GPE", city(chance)), ("GPE", country(chance))]
    if chance.random() < 0.8:
        parts.append(("STREET_ADDRESS", _five(chance)))
    return parts


def _military(chance: random.Random) -> str:
    end = f"{chance.choice(('APO', 'DPO', 'FPO'))} {chance.choice(MILITARY)} {_five(chance)}"
    one, two = chance.randint(0, 9999), chance.randint(0, 9999)
    return chance.choice((f"PSC {one:04}, Box {two:04}\n{end}", f"Unit {one:04} Box {two:04}\n{end}"))


def _five(chance: random.Random) -> str:
    return f"{chance.randint(0, 99999):05}"
