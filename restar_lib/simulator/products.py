"""What the simulated reviews are about: products, and what people notice about them.

Data only, all of it written for this project; `simulator.composer` makes texts of this and `simulator.phrases`. A good
or bad phrase completes the sentence that its aspect begins.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Aspect:
    """Something people notice about a product, and how it turns out."""

    name: str
    good: tuple[str, ...]
    bad: tuple[str, ...]


@dataclass(frozen=True)
class Category:
    """Products with aspects and a vocabulary of their own."""

    name: str
    products: tuple[str, ...]
    aspects: tuple[Aspect, ...]


def _aspect(name: str, good: str, bad: str) -> Aspect:
    return Aspect(name, tuple(good.split("; ")), tuple(bad.split("; ")))


def _category(name: str, products: str, *aspects: Aspect) -> Category:
    return Category(name, tuple(products.split("; ")), aspects)


CATEGORIES: tuple[Category, ...] = (
    _category(
        "Electronics",
        "pair of headphones; bluetooth speaker; portable charger; wireless keyboard; webcam; tablet stand",
        _aspect(
            "the battery",
            "lasts two full days; charges in half an hour; keeps going for weeks; has never let me down",
            "dies before lunch; swells up after a month; "
            "takes a whole night to charge; drops from half to zero in minutes",
        ),
        _aspect(
            "the sound",
            "is crisp even at low volume; fills the whole living room; "
            "stays clear on calls; makes old records feel new",
            "crackles at every second song; is thin and tinny; "
            "cuts out when I walk to the next room; hisses all the time",
        ),
        _aspect(
            "pairing",
            "takes two seconds; works with my phone and laptop at once; just works every morning; needed no manual",
            "fails nine times out of ten; has to be done again every day; "
            "drove me mad for an hour; never worked on my laptop",
        ),
        _aspect(
            "the build",
            "survived three drops on concrete; feels solid in the hand; "
            "looks more costly than it was; has no rattle anywhere",
            "creaks when I pick it up; came apart at the seam; "
            "scratches if you look at it; feels like a toy from a cereal box",
        ),
        _aspect(
            "the app",
            "explains each setting; updates on its own; finds the device at once; remembers my settings",
            "crashes on start; wants my location and my contacts; has not been updated in years; loses every setting",
        ),
    ),
    _category(
        "Home_and_Kitchen",
        "coffee maker; blender; frying pan; toaster; electric kettle; knife set; slow cooker",
        _aspect(
            "the coating",
            "lets eggs slide right off; still looks new after a year; "
            "wipes clean with one paper towel; took the heat well",
            "peeled into my food; burns everything in the middle; scratched in the first week; smells of chemicals",
        ),
        _aspect(
            "cleaning it",
            "is a matter of seconds; works fine in the dishwasher; needs nothing but warm water; is almost fun",
            "takes longer than cooking; is impossible under the rim; "
            "left rust on every screw; needs a toothbrush and patience",
        ),
        _aspect(
            "the motor",
            "crushes ice without a sound; never gets warm; has the power of a much larger one; purrs along quietly",
            "smells of burning; gave up on frozen berries; screams like a jet; stopped in the third week",
        ),
        _aspect(
            "the lid",
            "seals tightly; opens with one hand; stays cool; clicks into place",
            "leaks on the counter; cracked in the sink; pops off at the worst moment; never fits the first time",
        ),
        _aspect(
            "the size",
            "fits under the cabinet; is right for a family of four; "
            "saves a lot of counter space; is what the picture shows",
            "is half of what the picture shows; blocks the whole counter; "
            "is good for one cup at most; makes it tip over",
        ),
    ),
    _category(
        "Beauty",
        "hair dryer; face cream; shampoo; nail kit; lip balm; curling iron; sunscreen",
        _aspect(
            "my skin",
            "has never been softer; cleared up within days; drinks it in; glows in the morning",
            "broke out in red spots; burned for hours; felt greasy all day; peeled around the nose",
        ),
        _aspect(
            "the scent",
            "is light and fresh; lingers just long enough; reminds me of summer; gets me compliments",
            "gave me a headache; is like cheap soap; never washes out; turned sour after a week",
        ),
        _aspect(
            "my hair",
            "stays smooth even in the rain; dries in half the time; has its shine back; holds the curl until evening",
            "came out in clumps; looks like straw; got singed at the ends; was sticky after three washes",
        ),
        _aspect(
            "the bottle",
            "doses exactly; lasts for months; survives my gym bag; can be refilled",
            "arrived half empty; leaked all over the parcel; has a pump that jams; was opened before I got it",
        ),
        _aspect(
            "the handle",
            "sits well in the hand; stays cool; folds away for travel; is light enough for long hair",
            "gets too hot to hold; snapped off at the hinge; is heavy as a brick; slips when wet",
        ),
    ),
    _category(
        "Toys_and_Games",
        "board game; building set; puzzle; plush bear; toy train; card game; water gun",
        _aspect(
            "my daughter",
            "plays with it every day; laughs each time; took it to bed; asked for a second one",
            "was bored in five minutes; cut her finger on it; cried when it fell apart; will not touch it",
        ),
        _aspect(
            "the pieces",
            "fit together neatly; are thick and sturdy; have bright colours; were all there and sorted in bags",
            "were missing from the box; snap like dry twigs; do not fit each other; lost their paint in a day",
        ),
        _aspect(
            "the rules",
            "take two minutes to learn; keep it exciting for adults too; are funny to read; allow lots of variants",
            "contradict themselves; seem to be translated by a machine; make no sense for children; ran to forty pages",
        ),
        _aspect(
            "assembly",
            "was done in ten minutes; is half the fun; needed no tools; is shown step by step",
            "took the whole birthday; ended with a broken axle; needs three hands; failed because a screw was missing",
        ),
        _aspect(
            "the box",
            "makes a lovely present; keeps all in order; closes well; is small enough for a trip",
            "was crushed; had been taped shut again; is mostly air; smelled of mould",
        ),
    ),
    _category(
        "Sports_and_Outdoors",
        "tent; backpack; yoga mat; water bottle; bike light; camping stove; sleeping bag",
        _aspect(
            "the zipper",
            "glides with one finger; is sealed against rain; feels indestructible; never catches",
            "split on the first trip; jams at every corner; came off in my hand; let the rain in",
        ),
        _aspect(
            "the fabric",
            "kept us dry in a storm; breathes well on climbs; shrugs off thorns; is light and tough",
            "tore on the first branch; soaks through in minutes; bleeds colour on my shirt; is thin as paper",
        ),
        _aspect(
            "the straps",
            "carry the weight well; stay where I set them; are padded in the right places; suit tall people too",
            "dig into my shoulders; slipped loose every mile; ripped at the seam; are far too short",
        ),
        _aspect(
            "the grip",
            "holds even with sweaty hands; gives me confidence; has not worn off; is gentle on the knees",
            "slides on any floor; crumbled within weeks; left black marks; was slippery from day one",
        ),
        _aspect(
            "packing it",
            "is quick even in wind; takes hardly any room; is easy with cold fingers; works as promised",
            "is a wrestling match; never works in the bag it came in; bent a pole; cost us an hour each morning",
        ),
    ),
)

DRIFTED = _category(
    "Smart_Home",
    "smart bulb; robot vacuum; video doorbell; smart lock; thermostat",
    _aspect(
        "the firmware",
        "got a useful update each month; is rock solid; added local control; boots in a blink",
        "bricked itself overnight; rolls back my routines; nags for a subscription; reboots at random",
    ),
    _aspect(
        "the hub",
        "found all my sensors; runs without the cloud; talks to every brand; is set and forget",
        "goes offline each evening; lost its pairing after a power cut; "
        "floods the wifi; needs an account for everything",
    ),
    _aspect(
        "mapping",
        "nailed every room; copes with stairs and cables; is scary accurate; saves zones per floor",
        "thinks the sofa is a wall; forgets the kitchen daily; ran over the cat bowl; takes six runs and then resets",
    ),
    _aspect(
        "the voice assistant",
        "gets my accent; answers instantly; dims the lights as asked; works offline",
        "orders things nobody wanted; mishears every command; answers the television; lags ten seconds",
    ),
)
