"""Needle QA's words for development. Data only."""

from tasks.needle_words.base import Phrasings, Words, split_names, split_values

RELATIONS = {
    "home": Phrasings(
        statements=(
            "{s} has settled in {v}",
            "The address of {s} is a cottage in {v}|, by the canal",
            "Most evenings {s} goes home to {v}",
        ),
        questions=("Where is the home of {s}?", "What town has {s} settled in?"),
        value=("the town {s} calls home",),
        subject=("the person whose home is in {v}",),
    ),
    "childhood": Phrasings(
        statements=(
            "{s} was raised in {v}",
            "The parents of {s} brought up their family in {v}",
            "{v} was the playground of {s}| as a small child",
        ),
        questions=("Where was {s} raised?", "In which town was {s} brought up?"),
        value=("the town where {s} was raised",),
        subject=("the person raised in {v}",),
    ),
    "trade": Phrasings(
        statements=(
            "{s} is employed as a {v}",
            "The profession of {s} is that of a {v}",
            "A sign on the door says that {s} is a {v}|, open on weekdays",
        ),
        questions=("What is the profession of {s}?", "As what is {s} employed?"),
        subject=("the person employed as a {v}",),
    ),
    "birth": Phrasings(
        statements=(
            "{s} first saw the light of day in {v}",
            "The papers of {s} give {v} as the year of birth",
            "{v} was the year of the birth of {s}",
        ),
        questions=("What year was {s} born in?", "What do the papers of {s} give as the year of birth?"),
        subject=("the person whose year of birth is {v}",),
    ),
    "arrival": Phrasings(
        statements=(
            "{s} will turn up at {v}",
            "The train of {s} pulls in at {v}|, on the far platform",
            "Around {v} we shall welcome {s}",
        ),
        questions=("What time does the train of {s} pull in?", "When will {s} turn up?"),
        subject=("the person whose train pulls in at {v}",),
    ),
    "instrument": Phrasings(
        statements=(
            "{s} is a gifted player of the {v}",
            "In the orchestra the {v} is played by {s}",
            "For years {s} has taken lessons on the {v}",
        ),
        questions=("What instrument is {s} a player of?", "On which instrument has {s} taken lessons?"),
        subject=("the player of the {v}",),
    ),
    "teacher": Phrasings(
        statements=(
            "{s} served as an apprentice under {v}",
            "{v} trained {s}| with great care",
            "What {s} knows of the work was passed on by {v}",
        ),
        questions=("Under whom did {s} serve as an apprentice?", "Who trained {s}?"),
        value=("the person who trained {s}",),
        subject=("the apprentice of {v}",),
    ),
    "room": Phrasings(
        statements=(
            "{s} is staying in room {v}",
            "The porter led {s} up to room {v}",
            "Room {v} is reserved for {s}|, with breakfast",
        ),
        questions=("What room is {s} staying in?", "Which room is reserved for {s}?"),
        subject=("the person staying in room {v}",),
    ),
    "owner": Phrasings(
        statements=(
            "The {s} is owned by {v}",
            "{v} bought the {s}| at an auction and still has it",
            "By law the {s} is in the possession of {v}",
        ),
        questions=("By whom is the {s} owned?", "In whose possession is the {s}?"),
        value=("the person in possession of the {s}",),
        subject=("thing owned by {v}",),
    ),
    "maker": Phrasings(
        statements=(
            "The {s} was crafted by {v}",
            "{v} put the {s} together| from odd pieces",
            "The {s} is the work of {v}",
        ),
        questions=("Who crafted the {s}?", "Whose work is the {s}?"),
        value=("the person who crafted the {s}",),
        subject=("thing crafted by {v}",),
    ),
    "store": Phrasings(
        statements=(
            "The {s} is locked away in {v}",
            "A cellar in {v} houses the {s}",
            "The {s} may be viewed in {v}|, behind a rope",
        ),
        questions=("Where is the {s} locked away?", "In what town may the {s} be viewed?"),
        value=("the town that houses the {s}",),
        subject=("thing locked away in {v}",),
    ),
    "price": Phrasings(
        statements=(
            "The {s} is priced at {v}",
            "For {v} one may take the {s} home",
            "The tag on the {s} says {v}|, in red ink",
        ),
        questions=("At how much is the {s} priced?", "What does the tag on the {s} say?"),
        subject=("thing priced at {v}",),
    ),
    "found": Phrasings(
        statements=(
            "The {s} was recovered on {v}",
            "A hiker stumbled upon the {s} on {v}|, under some leaves",
            "On {v} workers uncovered the {s}",
        ),
        questions=("On what day was the {s} recovered?", "When did somebody uncover the {s}?"),
        subject=("thing recovered on {v}",),
    ),
    "mayor": Phrasings(
        statements=(
            "{v} governs {s}| from the town hall",
            "The town hall of {s} is headed by {v}",
            "{s} is governed by {v}",
        ),
        questions=("Who governs {s}?", "By whom is the town hall of {s} headed?"),
        value=("the person who governs {s}",),
        subject=("the town governed by {v}",),
    ),
    "market": Phrasings(
        statements=(
            "Stalls in {s} are ready at {v}",
            "Trading in {s} begins at {v}|, not earlier",
            "From {v} onwards one can shop at the stalls of {s}",
        ),
        questions=("From what time are stalls in {s} ready?", "When does trading in {s} begin?"),
        subject=("the town where trading begins at {v}",),
    ),
    "founded": Phrasings(
        statements=(
            "{s} was established in {v}",
            "The first stone of {s} was laid in {v}|, by monks",
            "{s} has existed since {v}",
        ),
        questions=("When was {s} established?", "Since which year has {s} existed?"),
        subject=("the town established in {v}",),
    ),
}

NAMES = split_names(
    first="""Albert Anna Boris Celia Dennis Elena Ernest Frieda Gerald Helen Igor Julia Kevin Louise Marcus Nora Otto Priscilla Quentin Rosa
    Samuel Tilda Ulrich Vera""",
    surname=(
        "Ab Cres Dan Eg Fal Gim Hes Jol Kor Lis Mag Nim",
        "ea ou in os el",
        "by tz worth shaw quist holt",
    ),
    place=(
        "Amber Bram Clay Drum Ever Frost Glen Hollow Ire Juniper Kings Lark Mill North Orchard Plum",
        "- s le",
        "gate hurst cliff moor thwaite pool fell keld",
    ),
    item=(
        "bronze scarlet tiny cracked ivory oval faded engraved tin yellow padded square woven chipped",
        "sledge sundial trunk medal puppet jug tapestry sextant umbrella bell dagger cradle microscope pipe bracelet abacus",
    ),
)
VALUES = split_values(
    trades="""glazier plumber translator surveyor beekeeper roofer jeweller vet pilot saddler chemist librarian dyer notary
    welder brewer""",
    instruments="oboe mandolin lute saxophone xylophone banjo harmonica recorder cornet zither sitar spinet",
    coins="florins guilders",
)
DEV = Words(
    names=NAMES | VALUES,
    relations=RELATIONS,
    mentions={
        "person": (
            "The committee thanked {s} warmly",
            "{s} laughed at the whole affair",
            "There is a rumour about {s}",
            "A photograph shows {s} in a straw hat",
        ),
        "place": (
            "The bus to {s} was late again",
            "A poet once praised {s}",
            "The fields around {s} are flat",
            "Snow is rare in {s}",
        ),
        "item": (
            "An expert wrote a note on the {s}",
            "The {s} looks older than it is",
            "There is a legend about the {s}",
            "The {s} was cleaned with a soft cloth",
        ),
    },
    openers=(
        "All the same",
        "During the summer",
        "As the guide explains",
        "Once in a while",
        "By all accounts",
        "Late at night",
        "Since the flood",
        "To nobody's surprise",
    ),
    bodies=(
        "the path is covered with gravel",
        "the roses need a lot of care",
        "the inn is half empty",
        "a radio plays somewhere",
        "the crossing takes longer than planned",
        "the hills turn brown",
        "honey is sold in jars",
        "the ceiling leaks in two corners",
        "the chimneys are swept",
        "the visitors ask for tea",
        "the shadows grow long",
        "the shutters rattle",
        "few things are ever thrown away",
        "the hay is stacked in rows",
        "a cat sleeps on the warm wall",
        "the tide leaves shells on the sand",
    ),
    joins=(", while ",),
)
