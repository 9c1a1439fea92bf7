"""Needle QA's words for training, but for its phrasings of relations. Data only."""

from tasks.needle_words.base import Words, split_names, split_values
from tasks.needle_words.train_people import OF_PEOPLE
from tasks.needle_words.train_things import OF_THINGS

# Many and unlike each other: of a few dozen parts a model learns the parts, and writes them for names that it does not know (docs/log.md).
NAMES = split_names(
    first="""Adam Agnes Alice Anton Bertha Bruno Carla Cecil Clara Conrad Daniel Dora Edgar Edith Emil Esther Felix Flora Frank Greta Hannah
    Harold Hugo Ida Irene Jacob Joanna Karl Laura Leon Lydia Marta Martin Miriam Nadia Nathan Olga Oscar Paula Peter Rita Robert
    Ruth Simon Sofia Stefan Thea Victor Aaron Abigail Adele Alexei Amos Andrea Astrid Audrey Basil Benno Bianca Brigitte Calvin Camilla
    Caspar Catherine Claudia Cosmo Cynthia Damian Deborah Desmond Diana Dominic Duncan Edmund Eleanor Elliot Emma Enid Erik Eva Evelyn
    Fabian Fergus Floyd Frances Gabriel Georgina Gilbert Gloria Gordon Graham Gwen Harriet Hector Hedwig Henrik Herbert Holly Horace Hubert
    Imogen Ingrid Ivan Ivy James Janet Jerome Jill Jonas Josephine Judith Justin Katrin Kenneth Klara Lambert Lars Lena Leopold Lilian Linus
    Lorenz Louis Lucy Luther Magda Malcolm Manfred Margot Marius Matilda Maxim Melanie Mildred Milo Mona Morris Muriel Nigel Noah Norman
    Odette Oswald Otis Pablo Pamela Patrick Pearl Penelope Phoebe Ralph Ramona Raymond Regina Rosalind Rudolf Rupert Sabine Salome Sandra
    Sebastian Selma Sidney Silas Stella Susanna Tamara Thomas Tobias Ulla Valentin Vanessa Viola Vivian Wanda Wendy Wilfred William Xaver
    Yvonne Zacharias Zoe""",
    surname=(
        """Bar Cal Dor Fen Gar Hol Jar Kel Lan Mor Nor Pel Quen Ral Sel Tor Ul Ver Wil Yar Zel Ost Hart Brin Ack Alm Bau Beck Bol Brad Burn
        Cham Chur Cob Cor Dav Deb Dim Dun Ed Ellis Er Fabr Fitz Foss Fran Gib Gold Grav Had Ham Haw Heid Hub Ing Jes Kapp Kir Krem Led Lind
        Lut Mar Mein Mid Mus Nau Nic Ob Pav Pit Pot Rad Rein Rich Roth Sal Sand Schil Shep Stan Stir Sut Tam Thack Tip Tru Vas Vog Wag Weg
        Whit Wood Zim Zor""",
        "a en i o er ic um al ed ar el in on us ach eg il ob ut ain ebr ov and ingt ell",
        """kin sen berg man vik ner lund rick stad mers son ton ley ford well by ski ov ez ini eau ard ert ing ster dorf hausen meyer
        wick brook hart croft field house mann feld blad strom gren dahl""",
    ),
    place=(
        """Ald Brock Carn Dun Elm Farn Grim Hazel Ingle Kirk Lang Marsh Nether Oak Pend Rother Sand Thorn Under Wad Win Yel Ash Birch Crow
        Deep East Fern Adder Bish Bolt Broad Butter Cart Chester Cold Cran Dart Dray Dul Fair Fish Fox Gat Goose Green Halt Hart Hemp Hors
        Hunt Ivy Keld Kettle Lap Leather Litt Long Low Maple Mid Mun New Northam Nut Old Over Pad Pepper Pont Rams Raven Red Rock Rush Salt
        Sax Shep Silver Skel Stav Stock Sund Swan Tan Tides Tot Twin Ulver Upp Wake Walt Weather West Whit Wolf Wool Wren Yarn""",
        "- er in a ing el am on et ack o by",
        """ham ford field bridge mouth stead wick port dale borough minster haven combe ley ton bury chester ditch end gill green hall head
        hill hithe ing land low mere over point ridge shaw side stone stow street thwart tree wade wall water well wood yard""",
    ),
    item=(
        """copper silver wooden painted broken tall blue heavy carved rusty folded striped polished narrow ancient crooked velvet green
        leather marble bent golden dusty hollow amber black blunt brass bright brown cheap cloth cold costly curved dark deep
        dented double dull ebony embroidered enormous fine flat flimsy floral foreign framed frayed glass glazed granite grey grimy
        handmade huge inlaid knitted lame large light linen little locked long lopsided magnetic mended mottled muddy old orange pale paper
        patterned pearl pink plain plated pointed porcelain portable purple red repaired ribbed rough royal satin scratched shabby sharp
        shiny short silken simple sleek slim smooth soft solid speckled spotted stained steel stolen stone straight sturdy thick thin torn
        transparent triangular turquoise unusual varnished weathered white wicker wide woollen worn wrinkled""",
        """lantern clock mirror chest vase compass kettle globe saddle ladder telescope statue carpet teapot barometer wagon anchor basket
        candlestick helmet shield map quilt hourglass inkwell birdcage scythe loom plough chessboard snuffbox tankard almanac armchair
        axe balloon banner barrel bathtub bench blanket boat bottle bowl box bridle broom brush bucket button cabinet camera candle
        canoe cape cart casket chain chair chandelier cloak coat coin comb couch crate crown cup curtain desk diary dish doll door drum
        envelope fan feather fence flag flask fork frame furnace glove gong hammer hammock handkerchief hat hook horn jar jacket key
        knife lamp lens lever lock mask mat mattress mill mug nail napkin needle notebook oar oven paddle pan parasol pen pillow pin
        pitcher plate
        pump purse rake ribbon ring robe rope ruler sail saw scarf scissors screen sculpture shawl shovel sieve sled spade spoon
        stamp stool stove suitcase sword table tent throne tile toolbox torch tray tub vest wallet wardrobe watch wheel whip whistle wig""",
    ),
)
VALUES = split_values(
    trades="""baker carpenter weaver printer nurse blacksmith gardener tailor painter barber fisher miller mason butcher cook lawyer
    miner potter sailor shepherd cobbler clerk dentist porter broker builder cabman cartwright chauffeur cleaner coachman conductor
    courier cutler designer detective diver doctor driver drummer farmer farrier fireman florist fowler furrier gamekeeper goldsmith grocer
    guard gunsmith hatter hawker herald hunter joiner judge juggler lamplighter laundress lecturer lumberjack magician mapmaker
    merchant messenger midwife milliner milkman minister muleteer navigator novelist pedlar perfumer picker piper
    planter playwright policeman postman preacher professor puppeteer quarryman rigger sawyer scholar scribe seamstress secretary
    servant shipwright singer smith soldier spinner steward stoker stonecutter storekeeper sweep swordsmith tinker trader trapper typist
    vintner waiter warden watchmaker wheelwright woodcutter zookeeper""",
    instruments="""violin flute cello trumpet guitar piano harp clarinet trombone bassoon viola tuba accordion celesta balalaika bandoneon
    bugle carillon clavichord concertina didgeridoo euphonium flugelhorn glockenspiel koto lur mandola mellophone
    ocarina panpipes psaltery rebec sackbut serpent shawm sousaphone tambourine timpani vibraphone virginal vielle""",
    coins="crowns shillings marks dollars francs pesos roubles rupees pounds lire drachmas kroner zlotys pennies groats sovereigns",
)
TRAIN = Words(
    names=NAMES | VALUES,
    relations={**OF_PEOPLE, **OF_THINGS},
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
