"""How people say it: the sentences of the simulated reviews.

Data only, all of it written for this project. `{product}`, `{very}`, `{aspect}`, `{other}`, `{good}` and `{bad}` are
filled in by `simulator.composer`; what `{other}` aspect of the product is good or bad stands right behind it.
"""

from __future__ import annotations

from restar_lib.domain import Sentiment

INTENSITIES = ("really ", "very ", "so ", "quite ", "absolutely ", "pretty ", "truly ", "", "", "")

OPENERS: dict[Sentiment, tuple[str, ...]] = {
    Sentiment.POSITIVE: (
        "I {very}love this {product}.",
        "This {product} is {very}good.",
        "Best {product} I have owned so far.",
        "I am {very}happy with this {product}.",
        "What a {very}nice {product}.",
        "This {product} beat my expectations.",
        "My third {product} from this brand, and the first I would marry.",
        "I was sceptical about this {product}, and I was wrong.",
        "Not bad at all, this {product}.",
        "I cannot say anything bad about this {product}.",
        "You will not regret this {product}.",
        "Finally a {product} that does what it says.",
    ),
    Sentiment.NEGATIVE: (
        "I {very}regret buying this {product}.",
        "This {product} is {very}bad.",
        "Worst {product} I have owned so far.",
        "I am {very}disappointed with this {product}.",
        "What a {very}poor {product}.",
        "I wanted to love this {product}.",
        "This {product} is not worth the money.",
        "This is not a good {product}.",
        "I had high hopes for this {product}.",
        "Great, another {product} for the bin.",
        "I would not call this a {product}.",
        "Save your money and skip this {product}.",
    ),
    Sentiment.NEUTRAL: (
        "This {product} is okay.",
        "It is an average {product}.",
        "I have mixed feelings about this {product}.",
        "This {product} is neither good nor bad.",
        "There are two sides to this {product}.",
        "A {product} like any other.",
        "This {product} does the job and no more.",
        "Hard to rate this {product}.",
        "I expected a bit more from this {product}, but it works.",
        "For the price this {product} is acceptable.",
    ),
}

PLAIN_OPENERS = (
    "About this {product}:",
    "Bought this {product} online.",
    "We needed a {product}.",
    "My first {product} of this brand.",
    "Some words on this {product}.",
)

CLOSERS: dict[Sentiment, tuple[str, ...]] = {
    Sentiment.POSITIVE: (
        "I would buy it again.",
        "Highly recommended.",
        "I have told all my friends.",
        "Worth every penny.",
        "I could not be happier.",
        "No complaints from me.",
        "My sister ordered one too.",
        "It never disappoints.",
        "A keeper.",
    ),
    Sentiment.NEGATIVE: (
        "It went back the next day.",
        "Do not buy it.",
        "What a waste of money.",
        "I want a refund.",
        "Never again.",
        "I should have read the reviews.",
        "I could not recommend it to anyone.",
        "Support did not even answer.",
        "Look elsewhere.",
    ),
    Sentiment.NEUTRAL: (
        "Nothing special.",
        "I might keep it, I might not.",
        "You get what you pay for.",
        "It will do for now.",
        "I would look around before buying it again.",
        "Not great, not terrible.",
        "Some will like it.",
        "It is fine, I suppose.",
    ),
}

PRAISES = (
    "{Aspect} {good}.",
    "{Aspect} {good}, and that matters to me.",
    "Also, {aspect} {good}.",
    "I noticed that {aspect} {good}.",
    "I did not expect much, but {aspect} {good}.",
)
COMPLAINTS = (
    "{Aspect} {bad}.",
    "{Aspect} {bad}, which should not happen.",
    "Also, {aspect} {bad}.",
    "I noticed that {aspect} {bad}.",
    "The pictures look nice, but {aspect} {bad}.",
)

CONTRASTS: dict[Sentiment, tuple[str, ...]] = {
    Sentiment.POSITIVE: (
        "The only downside: {other} {bad}.",
        "True, {other} {bad}, but I can live with that.",
        "My friend says that {other} {bad}, but mine is perfect.",
    ),
    Sentiment.NEGATIVE: (
        "It looks great, but that is all.",
        "Sure, {other} {good}, but that does not help.",
        "People say that {other} {good}, but mine is useless.",
    ),
    Sentiment.NEUTRAL: (
        "{Other} {good}, but {aspect} {bad}.",
        "While {other} {good}, {aspect} {bad}.",
        "On one hand {other} {good}, on the other {aspect} {bad}.",
    ),
}

FACTS = (
    "I bought it for my {person} in {month}.",
    "I have used it for {number} weeks now.",
    "It arrived {number} days after I ordered it.",
    "We use it about {number} times a week.",
    "It replaced one that we had for {number} years.",
    "I got the {colour} one.",
    "It was a present from my {person}.",
    "I compared {number} of them before I ordered.",
    "My {person} has the {colour} one.",
    "I ordered it in {month}, together with a {colour} bag.",
)
PERSONS = ("wife", "husband", "mother", "father", "son", "sister", "brother", "neighbour", "boss", "aunt", "roommate")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "October", "November", "December")
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "12", "14", "20")
COLOURS = ("black", "white", "red", "blue", "green", "grey", "silver", "pink", "yellow", "brown")

TITLES: dict[Sentiment, tuple[str, ...]] = {
    Sentiment.POSITIVE: ("Love it", "Great buy", "Works like a charm", "So good", "Recommended", "Very happy"),
    Sentiment.NEGATIVE: ("Disappointed", "Broken", "Do not buy", "Waste of money", "Poor quality", "Returned it"),
    Sentiment.NEUTRAL: ("It is okay", "Average", "Mixed feelings", "Does the job", "So so"),
}
LEAKING_TITLES = {1: "One Star", 2: "Two Stars", 3: "Three Stars", 4: "Four Stars", 5: "Five Stars"}

DRIFTED_OPENERS: dict[Sentiment, tuple[str, ...]] = {
    Sentiment.POSITIVE: (
        "Ngl this {product} slaps.",
        "Lowkey obsessed with this {product}.",
        "This {product} is goated, no cap.",
        "Chef's kiss, this {product}.",
    ),
    Sentiment.NEGATIVE: (
        "This {product} is straight up mid.",
        "Big yikes, this {product}.",
        "Nah, this {product} is sus.",
        "This {product} is peak enshittification.",
    ),
    Sentiment.NEUTRAL: (
        "This {product} is mid but fine.",
        "Meh tier {product}, tbh.",
        "This {product} is giving average.",
    ),
}

SHORT_TEXTS = (
    "Love it!",
    "Great product",
    "Does not work.",
    "Okay",
    "Good value",
    "Broke after a week",
    "As described",
)
