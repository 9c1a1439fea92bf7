"""Needle QA's words for training, but for its phrasings of relations. Data only."""

from tasks.needle_words.base import Words, split_names, split_values
from tasks.needle_words.train_relations import RELATIONS

NAMES = split_names(
    first="""Adam Agnes Alice Anton Bertha Bruno Carla Cecil Clara Conrad Daniel Dora Edgar Edith Emil Esther Felix Flora Frank Greta Hannah
    Harold Hugo Ida Irene Jacob Joanna Karl Laura Leon Lydia Marta Martin Miriam Nadia Nathan Olga Oscar Paula Peter Rita Robert
    Ruth Simon Sofia Stefan Thea Victor""",
    surname=(
        "Bar Cal Dor Fen Gar Hol Jar Kel Lan Mor Nor Pel Quen Ral Sel Tor Ul Ver Wil Yar Zel Ost Hart Brin",
        "a en i o er ic um al ed ar",
        "kin sen berg man vik ner lund rick stad mers",
    ),
    place=(
        """Ald Brock Carn Dun Elm Farn Grim Hazel Ingle Kirk Lang Marsh Nether Oak Pend Rother Sand Thorn Under Wad Win Yel Ash Birch Crow
    Deep East Fern""",
        "- er in a",
        "ham ford field bridge mouth stead wick port dale borough minster haven combe ley",
    ),
    item=(
        """copper silver wooden painted broken tall blue heavy carved rusty folded striped polished narrow ancient crooked velvet green
    leather marble bent golden dusty hollow""",
        """lantern clock mirror chest vase compass kettle globe saddle ladder telescope statue carpet teapot barometer wagon anchor basket
    candlestick helmet shield map quilt hourglass inkwell birdcage scythe loom plough chessboard snuffbox tankard""",
    ),
)
VALUES = split_values(
    trades="""baker carpenter weaver printer nurse blacksmith gardener tailor painter barber fisher miller mason butcher cook lawyer
    miner potter sailor shepherd cobbler clerk dentist porter""",
    instruments="violin flute cello trumpet guitar piano harp clarinet trombone bassoon viola tuba accordion celesta",
    coins="crowns shillings marks",
)
TRAIN = Words(
    names=NAMES | VALUES,
    relations=RELATIONS,
    mentions={
        "person": (
            "Nobody has seen {s} since the fair",
            "People speak well of {s}",
            "A postcard from {s} came last week",
            "{s} is said to be fond of plums",
            "Some find {s} hard to understand",
            "A cousin asked about {s} twice",
        ),
        "place": (
            "The road to {s} is being mended",
            "Few maps show {s} correctly",
            "It rained in {s} for most of the month",
            "Travellers like the view over {s}",
            "A song about {s} was popular once",
        ),
        "item": (
            "A drawing of the {s} was printed in the paper",
            "Children like to look at the {s}",
            "The {s} has a small scratch",
            "Two visitors argued about the {s}",
            "The {s} is said to bring luck",
        ),
    },
    openers=(
        "On most mornings",
        "As far as anyone remembers",
        "In a good year",
        "After the harvest",
        "When the wind turns",
        "For some reason",
        "Before the holidays",
        "As usual",
        "Towards the evening",
        "In the colder months",
        "Now and then",
        "According to the older people",
    ),
    bodies=(
        "the streets stay quiet",
        "bread is cheaper than fish",
        "the river carries little water",
        "the geese fly low over the fields",
        "nobody is in a hurry",
        "the windows are left open",
        "a thin fog lies over the meadows",
        "the talk turns to the weather",
        "the benches by the pond are full",
        "the post comes late",
        "the smell of smoke hangs in the air",
        "the dogs bark at every cart",
        "the apples are small but sweet",
        "the church bells can be heard far away",
        "there is not much to do",
        "the children play behind the barn",
        "soup is served with dark bread",
        "the newspapers have little to report",
        "the grass grows taller than the fence",
        "the old bridge creaks a little",
        "people gossip over coffee",
        "the lamps are lit early",
        "a few boats lie in the harbour",
        "the stoves are cleaned with sand",
    ),
    joins=("; ", ", and "),
)
