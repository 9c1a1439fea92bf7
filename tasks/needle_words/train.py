"""Needle QA's words for training. Data only."""

from tasks.needle_words.base import Phrasings, Words, split_names, split_values

RELATIONS = {
    "home": Phrasings(
        statements=(
            "{s} lives in {v}",
            "{v} has been home to {s}| for many years",
            "The house of {s} stands in {v}|, right behind the chapel",
            "These days {s} rents two rooms in {v}",
            "Letters for {s} are sent to an address in {v}",
        ),
        questions=("Where does {s} live?", "In which town does {s} live?", "What place is home to {s}?"),
        value=("the town where {s} lives",),
        subject=("the person who lives in {v}",),
    ),
    "childhood": Phrasings(
        statements=(
            "{s} grew up in {v}",
            "{s} spent a whole childhood in {v}|, close to the old mill",
            "{v} is where {s} went to school",
            "It was in {v} that {s} grew up",
            "The school years of {s} were spent in {v}",
        ),
        questions=("Where did {s} grow up?", "In which town was {s} a child?", "Where did {s} go to school?"),
        value=("the town where {s} grew up",),
        subject=("the person who grew up in {v}",),
    ),
    "trade": Phrasings(
        statements=(
            "{s} works as a {v}",
            "{s} earns a living as a {v}|, mostly in winter",
            "Everyone knows {s} as the local {v}",
            "By trade {s} is a {v}",
            "A {v} is what {s} became| after years of training",
        ),
        questions=("What does {s} work as?", "What is the trade of {s}?", "As what does {s} earn a living?"),
        subject=("the person who works as a {v}",),
    ),
    "birth": Phrasings(
        statements=(
            "{s} was born in {v}",
            "{v} is the year in which {s} was born",
            "The birth of {s} was recorded in {v}|, in a leather book",
            "{s} came into the world in {v}",
            "In the spring of {v} a midwife delivered {s}",
        ),
        questions=("When was {s} born?", "In which year was {s} born?", "What is the birth year of {s}?"),
        subject=("the person born in {v}",),
    ),
    "arrival": Phrasings(
        statements=(
            "{s} arrives at {v}",
            "The coach that brings {s} gets in at {v}",
            "At {v} the ferry will bring {s}|, if the sea allows",
            "{s} is expected at {v}",
            "A cart meets {s} at the station at {v}|, as agreed",
        ),
        questions=("When does {s} arrive?", "At what time is {s} expected?", "What time will {s} get here?"),
        subject=("the person who arrives at {v}",),
    ),
    "instrument": Phrasings(
        statements=(
            "{s} plays the {v}",
            "{s} has played the {v}| since school",
            "The {v} is the instrument of {s}",
            "On Sundays one can hear {s} practise the {v}",
            "In the band {s} is the one with the {v}",
        ),
        questions=("Which instrument does {s} play?", "What does {s} play in the band?", "What is the instrument of {s}?"),
        subject=("the person who plays the {v}",),
    ),
    "teacher": Phrasings(
        statements=(
            "{s} was taught by {v}",
            "{v} taught {s}| everything about the craft",
            "{s} was once a pupil of {v}",
            "The teacher of {s} was {v}|, a patient soul",
            "{s} learnt the craft from {v}",
        ),
        questions=("Who taught {s}?", "Who was the teacher of {s}?", "From whom did {s} learn the craft?"),
        value=("the teacher of {s}",),
        subject=("the person taught by {v}",),
    ),
    "room": Phrasings(
        statements=(
            "{s} sleeps in room {v}",
            "Room {v} has been given to {s}",
            "The key to room {v} was handed to {s}",
            "{s} can be found in room {v}|, past the stairs",
            "The guest in room {v} is {s}",
        ),
        questions=("In which room does {s} sleep?", "What is the number of the room given to {s}?", "Which room is {s} in?"),
        subject=("the guest in room {v}",),
    ),
    "owner": Phrasings(
        statements=(
            "The {s} belongs to {v}",
            "{v} owns the {s}",
            "The rightful owner of the {s} is {v}",
            "{v} inherited the {s}| and never gave it away",
            "The {s} is the property of {v}|, whatever people say",
        ),
        questions=("Who owns the {s}?", "To whom does the {s} belong?", "Who is the owner of the {s}?"),
        value=("the owner of the {s}",),
        subject=("object that belongs to {v}",),
    ),
    "maker": Phrasings(
        statements=(
            "The {s} was made by {v}",
            "{v} built the {s}| by hand over a long winter",
            "It took {v} a month to make the {s}",
            "The {s} came out of the workshop of {v}",
            "The maker of the {s} was {v}",
        ),
        questions=("Who made the {s}?", "Who built the {s}?", "Who was the maker of the {s}?"),
        value=("the maker of the {s}",),
        subject=("object made by {v}",),
    ),
    "store": Phrasings(
        statements=(
            "The {s} is kept in {v}",
            "In {v} a glass case holds the {s}",
            "Anyone can see the {s} in {v}|, free of charge",
            "The {s} was put into storage in {v}",
            "{v} is where the {s} is stored",
        ),
        questions=("Where is the {s} kept?", "In which town is the {s} kept?", "Where is the {s} stored?"),
        value=("the town where the {s} is kept",),
        subject=("object kept in {v}",),
    ),
    "price": Phrasings(
        statements=(
            "The {s} costs {v}",
            "The {s} is on sale for {v}|, without its box",
            "A buyer would have to pay {v} for the {s}",
            "The price of the {s} is {v}",
            "The dealer asks {v} for the {s}",
        ),
        questions=("How much does the {s} cost?", "What is the price of the {s}?", "How much must a buyer pay for the {s}?"),
        subject=("object that costs {v}",),
    ),
    "found": Phrasings(
        statements=(
            "The {s} was found on {v}",
            "On {v} the {s} turned up again|, covered in dust",
            "Somebody discovered the {s} on {v}",
            "The {s} came to light on {v}",
            "{v} was the day on which the {s} was found",
        ),
        questions=("On what date was the {s} found?", "When was the {s} found?", "On which day did the {s} come to light?"),
        subject=("object found on {v}",),
    ),
    "mayor": Phrasings(
        statements=(
            "{v} is the mayor of {s}",
            "{s} elected {v} as its mayor",
            "The people of {s} made {v} their mayor|, by a narrow vote",
            "In {s} the office of mayor is held by {v}",
            "The mayor of {s} is called {v}",
        ),
        questions=("Who is the mayor of {s}?", "Who holds the office of mayor in {s}?", "What is the mayor of {s} called?"),
        value=("the mayor of {s}",),
        subject=("the town whose mayor is {v}",),
    ),
    "market": Phrasings(
        statements=(
            "The market in {s} opens at {v}",
            "At {v} the market of {s} opens| its gates",
            "{s} opens its market at {v}|, rain or shine",
            "Traders in {s} start to sell at {v}",
            "The bell for the market in {s} rings at {v}",
        ),
        questions=("When does the market in {s} open?", "At what time does the market of {s} open?", "What time do traders in {s} start?"),
        subject=("the town whose market opens at {v}",),
    ),
    "founded": Phrasings(
        statements=(
            "{s} was founded in {v}",
            "Settlers founded {s} in {v}|, near a ford",
            "The history of {s} begins in {v}",
            "{v} is the founding year of {s}",
            "It was in {v} that settlers founded {s}",
        ),
        questions=("When was {s} founded?", "In which year was {s} founded?", "What is the founding year of {s}?"),
        subject=("the town founded in {v}",),
    ),
}

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
