"""Needle QA's words for testing. Data only."""

from tasks.needle_words.base import Phrasings, Words, split_names, split_values

RELATIONS = {
    "home": Phrasings(
        statements=(
            "{s} resides in {v}",
            "On a hill in {v} {s} keeps a small house",
            "You will find the front door of {s} in {v}|, painted green",
            "The residence of {s} is in {v}",
        ),
        questions=("Where does {s} reside?", "In what town is the residence of {s}?"),
        value=("the town in which {s} resides",),
        subject=("the resident of {v}",),
    ),
    "childhood": Phrasings(
        statements=(
            "{s} passed the early years in {v}",
            "An aunt in {v} looked after {s}| from infancy",
            "{s} remembers a boyhood or girlhood in {v}",
            "Until the age of sixteen {s} never left {v}",
        ),
        questions=("Where did {s} pass the early years?", "What town did {s} never leave until the age of sixteen?"),
        value=("the town where {s} passed the early years",),
        subject=("the person whose early years passed in {v}",),
    ),
    "trade": Phrasings(
        statements=(
            "{s} makes money as a {v}",
            "The occupation of {s} is given as {v}",
            "{s} was hired as a {v}|, on good wages",
            "If you need a {v} you should ask for {s}",
        ),
        questions=("What is the occupation of {s}?", "As what was {s} hired?"),
        subject=("the person hired as a {v}",),
    ),
    "birth": Phrasings(
        statements=(
            "The cradle of {s} was rocked in {v}| for the first time",
            "{s} is a child of the year {v}",
            "The date of birth of {s} falls in {v}",
            "When {v} came {s} was a newborn",
        ),
        questions=("In what year does the date of birth of {s} fall?", "Of which year is {s} a child?"),
        subject=("the person whose date of birth falls in {v}",),
    ),
    "arrival": Phrasings(
        statements=(
            "{s} gets to the inn at {v}",
            "The ship that carries {s} docks at {v}|, with the tide",
            "{s} has promised to be here by {v}",
            "The hour at which {s} comes is {v}",
        ),
        questions=("At what hour does {s} come?", "By when has {s} promised to be here?"),
        subject=("the person whose ship docks at {v}",),
    ),
    "instrument": Phrasings(
        statements=(
            "{s} performs on the {v}",
            "At weddings {s} brings out the {v}|, to everybody's joy",
            "The neighbours complain about {s} and the {v}",
            "Of all musicians {s} is the best on the {v}",
        ),
        questions=("On what instrument does {s} perform?", "What instrument do the neighbours hear from {s}?"),
        subject=("the musician on the {v}",),
    ),
    "teacher": Phrasings(
        statements=(
            "{s} studied with {v}",
            "{v} was the tutor of {s}",
            "{s} owes every skill to the lessons of {v}",
            "In youth {s} was instructed by {v}|, free of any fee",
        ),
        questions=("With whom did {s} study?", "Who was the tutor of {s}?"),
        value=("the tutor of {s}",),
        subject=("the student of {v}",),
    ),
    "room": Phrasings(
        statements=(
            "{s} has moved into room {v}",
            "The luggage of {s} was carried to room {v}|, on the top floor",
            "In room {v} lodges {s}",
            "The register puts {s} in room {v}",
        ),
        questions=("What is the room number of {s}?", "Into which room has {s} moved?"),
        subject=("the lodger in room {v}",),
    ),
    "owner": Phrasings(
        statements=(
            "The {s} has passed into the hands of {v}",
            "{v} can rightly call the {s} a possession",
            "A deed names {v} as the holder of the {s}",
            "Nobody but {v} has a claim to the {s}",
        ),
        questions=("Into whose hands has the {s} passed?", "Who is named as the holder of the {s}?"),
        value=("the holder of the {s}",),
        subject=("article held by {v}",),
    ),
    "maker": Phrasings(
        statements=(
            "The {s} was fashioned by {v}",
            "{v} produced the {s}| with simple tools",
            "The hands that shaped the {s} were those of {v}",
            "The {s} bears the signature of its creator {v}",
        ),
        questions=("Who fashioned the {s}?", "Who is the creator of the {s}?"),
        value=("the creator of the {s}",),
        subject=("article fashioned by {v}",),
    ),
    "store": Phrasings(
        statements=(
            "The {s} is on display in {v}",
            "The {s} has found its place in {v}|, under an arch",
            "A vault in {v} contains the {s}",
            "Those who seek the {s} must travel to {v}",
        ),
        questions=("Where is the {s} on display?", "To what town must one travel for the {s}?"),
        value=("the town whose vault contains the {s}",),
        subject=("article on display in {v}",),
    ),
    "price": Phrasings(
        statements=(
            "The {s} sells for {v}",
            "The {s} was valued at {v}|, by two experts",
            "No less than {v} will buy the {s}",
            "The shop charges {v} for the {s}",
        ),
        questions=("For how much does the {s} sell?", "What does the shop charge for the {s}?"),
        subject=("article that sells for {v}",),
    ),
    "found": Phrasings(
        statements=(
            "The {s} was dug up on {v}",
            "A diver brought the {s} ashore on {v}|, in a net",
            "On {v} the lost {s} reappeared",
            "The {s} was spotted on {v}",
        ),
        questions=("On which date was the {s} dug up?", "When did the {s} reappear?"),
        subject=("article dug up on {v}",),
    ),
    "mayor": Phrasings(
        statements=(
            "{v} presides over the council of {s}",
            "The head of the council in {s} is {v}",
            "The citizens of {s} chose {v}| to lead them",
            "The affairs of {s} are led by {v}",
        ),
        questions=("Who presides over the council of {s}?", "Who is the head of the council in {s}?"),
        value=("the head of the council in {s}",),
        subject=("the town led by {v}",),
    ),
    "market": Phrasings(
        statements=(
            "The bazaar of {s} gets going at {v}",
            "Shoppers may enter the bazaar of {s} from {v}",
            "By {v} the bazaar in {s} has opened",
            "A trumpet opens the bazaar of {s} at {v}|, without fail",
        ),
        questions=("When does the bazaar of {s} get going?", "From what hour may shoppers enter the bazaar of {s}?"),
        subject=("the town whose bazaar gets going at {v}",),
    ),
    "founded": Phrasings(
        statements=(
            "{s} dates back to {v}",
            "The charter of {s} was signed in {v}|, under an oak",
            "The origins of {s} lie in {v}",
            "{s} came into being in {v}",
        ),
        questions=("To what year does {s} date back?", "In what year did {s} come into being?"),
        subject=("the town that dates back to {v}",),
    ),
}

NAMES = split_names(
    first="""Arthur Beatrice Bernard Charlotte Cyril Doris Eugene Fiona Gustav Hilda Isaac Jasmine Kurt Leonora Maurice Nicola Olivia Philip
    Rebecca Roland Sylvia Theodor Ursula Walter""",
    surname=(
        "As Bel Crom Dres El Fro Gul Hab Iv Jun Kast Lom",
        "ia ur an ot ey",
        "low croft gham ski gard duc",
    ),
    place=(
        "Barrow Copse Dagger Eagle Flint Gold Heather Isen Jack Knoll Lime Moss Nettle Otter Pine Quarry",
        "- s an",
        "wold holme beck worthy sea ness march thorpe",
    ),
    item=(
        "pewter crimson miniature splintered jade round gilded patched iron violet lacquered twisted quilted checkered",
        """bookcase typewriter necklace harpoon thimble wheelbarrow fountain locket windmill spyglass cupboard tricycle weathervane goblet
    kite jewel""",
    ),
)
VALUES = split_values(
    trades="""cooper thatcher pharmacist locksmith surgeon typesetter banker forester ferryman sculptor bookbinder tanner brickmaker
    mechanic physicist dancer""",
    instruments="horn piccolo organ bagpipes dulcimer lyre ukulele marimba fiddle harpsichord kazoo theremin",
    coins="ducats thalers",
)
TEST = Words(
    names=NAMES | VALUES,
    relations=RELATIONS,
    mentions={
        "person": (
            "Rumours of {s} reached even the capital",
            "{s} dislikes long speeches",
            "The chronicle mentions {s} in passing",
            "A letter to {s} went astray",
        ),
        "place": (
            "The signpost to {s} has fallen over",
            "Hikers pass {s} on their way to the coast",
            "The air of {s} is said to be healthy",
            "A painting of {s} hangs in the hall",
        ),
        "item": (
            "The {s} drew a curious crowd",
            "A copy of the {s} fooled a collector",
            "Nobody dares to touch the {s}",
            "The {s} appears in an old ballad",
        ),
    },
    openers=(
        "Every so often",
        "Beyond the last houses",
        "As a rule",
        "When the rain stops",
        "In spite of everything",
        "Shortly before dusk",
        "So the story goes",
        "At the height of the season",
    ),
    bodies=(
        "the swallows return to the eaves",
        "the cellar smells of onions",
        "the clouds drift to the south",
        "the ink freezes in the pot",
        "the sheep graze along the dyke",
        "a lone bicycle leans against a tree",
        "the kitchen is the warmest corner",
        "the mud dries slowly",
        "the innkeeper hums a tune",
        "walnuts lie in the ditch",
        "the queue is short",
        "the curtains are drawn",
        "the moss on the roof glows",
        "the carts are loaded with peat",
        "ferns cover the slope",
        "the puddles shine like glass",
    ),
    joins=(", whereas ",),
)
