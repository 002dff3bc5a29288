"""Names of people, made up from parts of names as they are given in many countries."""

import random
from collections.abc import Sequence

__all__ = ["first_name", "full_name", "last_name"]

FIRST = {
    "english": "James Mary Robert Linda Oliver Amelia George Isla Harry Poppy Jack Freya Thomas Grace Daniel "
    "Chloe Kevin Sharon Gary Tracy Derek Maureen Colin Brenda Wayne Tyler Madison Brianna Dustin "
    "Kayla Scott Heather Walter Doris Earl Ruth Frank Hannah Rose Will Mark Angel Dawn Joy Grant "
    "Faith",
    "scottish": "Callum Eilidh Hamish Morag Fraser Isobel Angus Mhairi Rory Kirsty Duncan Ailsa",
    "irish": "Siobhán Padraig Niamh Cormac Aoife Declan Róisín Eoghan Saoirse Fionn",
    "german": "Jürgen Käthe Matthias Anke Torsten Ulrike Sven Heike Dieter Petra Florian Sabine Uwe Jana "
    "Lukas Mia",
    "dutch": "Joost Femke Maarten Saskia Ruben Lotte Wouter Anouk Sjoerd Marijke Bram Fenna",
    "french": "Thierry Élodie Benoît Chantal Rémi Aurélie Gaël Maëlys Loïc Solène Fabrice Odette Yann Océane",
    "italian": "Matteo Chiara Lorenzo Ginevra Salvatore Ornella Davide Ilaria Enzo Fulvia Gianni Loredana",
    "spanish": "Javier Lucía Inés Álvaro Ximena Joaquín Pilar Emiliano Rocío Íñigo Maite Ramón Belén",
    "portuguese": "João Beatriz Tiago Mariana Caio Luíza Gustavo Letícia Vinícius Kauê Otávio Duarte Lara",
    "swedish": "Björn Ingrid Anders Elsa Göran Linnéa Håkan Maja Oskar Saga Viktor Ebba",
    "norwegian": "Øyvind Solveig Sigurd Ragnhild Trygve Silje Eirik Tuva Håvard Gunn Kjell Marit",
    "danish": "Søren Mette Kasper Signe Jeppe Bodil Troels Kirsten Aksel Asta Mikkel Line",
    "finnish": "Väinö Aino Jukka Kaisa Eero Tuuli Pekka Marjatta Onni Helmi Ilkka Sirpa",
    "icelandic": "Þórður Guðrún Sigurður Hrafnhildur Ólafur Ásta Gunnar Björk Einar Svanhvít",
    "estonian": "Kristjan Liisa Tarmo Piret Jaan Kadri Rasmus Tiina Mihkel Maarja",
    "polish": "Wojciech Zofia Grzegorz Agnieszka Łukasz Małgorzata Paweł Jadwiga Stanisław Kinga Bogdan Ewa",
    "czech": "Jiří Zdeňka Václav Růžena Tomáš Libuše Ondřej Šárka Bohumil Věra Štěpán Hana",
    "hungarian": "Zoltán Ágnes Gábor Ilona László Piroska Ferenc Zsófia Attila Réka Bence Dóra",
    "croatian": "Ivana Hrvoje Željko Snježana Zvonimir Jadranka Luka Dunja Tomislav Vesna",
    "slovenian": "Matjaž Nuša Gregor Alenka Primož Tjaša Rok Urška Blaž Špela",
    "romanian": "Mihai Ioana Răzvan Ștefania Bogdan Crina Sorin Anca Dragoș Ileana",
    "russian": "Dmitry Svetlana Yevgeny Lyudmila Arkady Ksenia Gennady Zinaida Rustam Alyona Timofey Raisa",
    "chechen": "Ruslan Zarema Aslanbek Luiza Ramzan Khadijat Turpal Madina Islam Elina",
    "greek": "Γιώργος Ελένη Stavros Despina Νίκος Kyriaki Thanos Eleftheria Panagiotis Vasiliki",
    "turkish": "Mehmet Ayşe Emre Zeynep Çağlar Gülşen Ozan Şebnem Barış Defne",
    "arabic": "Ahmed Fatima Omar Layla Khalid Noura Tariq Samira Yousef Hanan Bilal Rania Zaid Amal",
    "persian": "Reza Shirin Dariush Parisa Kourosh Nasrin Behrouz Golnaz Farhad Mahsa",
    "hebrew": "Eitan Tamar Yonatan Shira Gideon Noa Avi Michal",
    "indian": "Rajesh Priya Arjun Lakshmi Sanjay Deepika Vikram Anjali Harpreet Meera Rohan Kavya",
    "chinese": "Wei Xiulan Jianhua Lihua Zhang Meiling Guoqiang Fang Xiaoming Ting",
    "japanese": "Haruto Yuki Kenji Sakura Takeshi Ayumi Shinji Naoko Ryo Michiko Daisuke Emi",
    "korean": "Minjun Seoyeon Jihoon Eunji Hyunwoo Soojin Donghyun Yuna",
    "vietnamese": "Nguyễn Thảo Minh Hương Quân Linh Tuấn Phượng Dũng Mai",
    "thai": "Somchai Siriporn Niran Malee Anong Chaiwat Kanya Prasert",
    "nigerian": "Chukwuemeka Ngozi Oluwaseun Adaeze Babatunde Ifeoma Tunde Folake Obinna Amaka",
    "eritrean": "Tesfay Selam Haile Abrihet Yonas Semhar Kidane Letebrhan",
    "greenlandic": "Aputsiaq Pipaluk Inuk Naja Malik Paarma Nuka Aviaja",
}
LAST = {
    "english": "Smith Jones Taylor Whitfield Ashworth Pemberton Clarke Hargreaves Baker Sutcliffe Bishop "
    "Marsh Ellison Fletcher Hodgson Miller Johnson Davis Anderson Jackson Bennett Fowler Carver "
    "Stone Winters Hale Young Banks Rivers Golden May King Price Long Bell Waters Page Crow",
    "scottish": "MacLeod Campbell Ross McKenzie Buchanan Sinclair MacDonald Drummond",
    "irish": "O'Connor Byrne Gallagher O'Sullivan Ní Bhriain Kavanagh FitzGerald",
    "german": "Schröder Vogel Lehmann Kießling von Bergen Hoffmann Zimmermann Bäumler Pfeiffer Wagner Kuhn",
    "dutch": "Janssen van Dijk de Boer Hoekstra van der Meer Bakker Verhoeven ten Brink Kuipers",
    "french": "Lefèvre Moreau Dupont-Aignan Rousseau Le Gall Fournier Chevalier Béranger Girard Dubois",
    "italian": "Ricci Bianchi De Luca Esposito Marchetti Lombardi D'Angelo Ferrara Colombo Gallo",
    "spanish": "García Fernández López de la Cruz Ibáñez Quiroga Núñez Castillo Herrera Mendoza Vidal",
    "portuguese": "Silva Oliveira dos Santos Carvalho Teixeira Araújo Barbosa Gonçalves Pinto Rocha",
    "swedish": "Lindqvist Nyström Sjöberg Åkesson Holm Bergström Ek Sandberg",
    "norwegian": "Haugen Bakken Østby Solberg Nygård Tveit Strand Lie",
    "danish": "Kjærgaard Mortensen Østergaard Dam Bruun Thomsen Lauridsen Krogh",
    "finnish": "Mäkinen Virtanen Hyvönen Laaksonen Koskela Järvinen Salo Niemi",
    "icelandic": "Jónsdóttir Stefánsson Þorsteinsdóttir Magnússon Helgason Árnadóttir",
    "estonian": "Tamm Kask Saar Pärn Rebane Ilves Mägi Sepp",
    "polish": "Wiśniewski Kowalczyk Zielińska Szymański Wójcik Jabłońska Dąbrowski Pawlak",
    "czech": "Novotný Dvořáková Procházka Černá Hájek Malá Kučera Beneš",
    "hungarian": "Nagy Szabó Tóth Kovács Horváth Varga Molnár Balogh",
    "croatian": "Horvat Kovačević Babić Marić Jurić Knežević Perković Vuković",
    "slovenian": "Kranjc Zupančič Potočnik Hribar Kos Vidmar Golob Rozman",
    "romanian": "Popescu Ionescu Dumitru Stoica Munteanu Țăranu",
    "russian": "Ivanova Sokolov Lebedeva Morozov Volkova Zaitsev Orlova Gusev Belov Titova",
    "chechen": "Dudayev Umarova Saidov Maskhadova Bisultanov Yandarbiyev",
    "greek": "Παπαδόπουλος Dimitriou Karagiannis Ιωάννου Makris Economou",
    "turkish": "Yılmaz Kaya Demirtaş Öztürk Şahin Aydın",
    "arabic": "al-Masri Haddad Khoury Mansour El Amrani Nasser Rahman Farah",
    "persian": "Hosseini Ahmadi Tehrani Rostami Moradi Karimi",
    "hebrew": "Cohen Ben-David Mizrahi Peretz Shapira",
    "indian": "Sharma Patel Iyer Singh Chatterjee Reddy Nair Gupta",
    "chinese": "Li Wang Chen Zhao Huang Lin Xu Tang",
    "japanese": "Tanaka Suzuki Watanabe Kobayashi Matsumoto Ishikawa Nakamura Ogawa",
    "korean": "Kim Park Choi Jeong Kang Yoon",
    "vietnamese": "Trần Lê Phạm Đặng Bùi Võ",
    "thai": "Srisai Wongsakul Charoenphol Thongchai Rattanakorn",
    "nigerian": "Okafor Adeyemi Nwosu Balogun Eze Ogunleye",
    "eritrean": "Tewolde Ghebremedhin Habte Asfaha Negash",
    "greenlandic": "Kleist Petrussen Olsvig Lynge Motzfeldt",
}
PARTICLES = frozenset({"van", "der", "von", "de", "la", "dos", "Le", "El", "ten", "Ní", "De"})
BEGIN = (
    "Bal Dor Fen Gar Hal Iv Kal Lor Mar Nor Os Pet Ral Sel Tor Ul Ved Wil Yar Zan Chm Str Bre Kri Gal".split()
)
MIDDLE = "a e i o u ar en il or an ov ić ej ál ö ü".split()
END = "ová ević sson berg nen escu yan ashvili ski dóttir mann ez ini eira ov ova sen feld ák ton ham".split()


def first_name(chance: random.Random) -> str:
    return _one(chance, FIRST[chance.choice(list(FIRST))])


def last_name(chance: random.Random) -> str:
    """One in four is of no country's making: names that nobody has seen are what readers must find."""
    return _last(chance, chance.choice(list(LAST)))


def full_name(chance: random.Random) -> str:
    culture = chance.choices(list(FIRST), weights=[5 if name == "english" else 1 for name in FIRST])[0]
    first, last = _one(chance, FIRST[culture]), _last(chance, culture)
    shape = chance.random()
    if shape < 0.08:
        return f"{first} {chance.choice('ABCDEGHJKLMNPRSTVW')}. {last}"
    if shape < 0.11:
        return f"{first} {chance.choice('ABCDEGHJKLMNPRSTVW')} {last}"
    if shape < 0.16:
        second = _one(chance, FIRST[culture])
        return f"{first} {second} {last}" if second != first else f"{first} {last}"
    if shape < 0.20:
        return f"{first} {last}-{_last(chance, culture)}"
    if shape < 0.22:
        return f"{first[0]}. {last}"
    return f"{first} {last}"


def _last(chance: random.Random, culture: str) -> str:
    if chance.random() < 0.25:
        return chance.choice(BEGIN) + chance.choice(MIDDLE) + chance.choice(END)
    return _pick(chance, _surnames(LAST[culture]))


def _surnames(text: str) -> list[str]:
    """Words to surnames: a particle belongs to the word after it."""
    names: list[str] = []
    for word in text.split():
        if names and names[-1].split()[-1] in PARTICLES:
            names[-1] += f" {word}"
        else:
            names.append(word)
    return names


def _one(chance: random.Random, words: str) -> str:
    return _pick(chance, words.split())


def _pick(chance: random.Random, names: Sequence[str]) -> str:
    return names[int(chance.random() * len(names))]
