"""Cards of the data, in Markdown: TinyWorld and the public sets, from their files and records."""

from collections import Counter

from helpers.show import markdown


def world_contents() -> str:
    """How much there is of everything in TinyWorld."""
    from helpers.tinyworld.language import vocabulary
    from helpers.tinyworld.language import world as worlds

    world, frames = worlds.load(), worlds.frames()
    kinds, realms, colours, places = (len(world.values(relation)) for relation in worlds.RELATIONS)
    rows = {
        "entities": (
            f"{len(world.entities)}: {kinds} kinds in {realms} realms; {colours} colours; {places} "
            "places"
        ),
        "people": (
            f"{len(world.people)}: profession, town, hobby; private: {', '.join(worlds.PRIVATE)}"
        ),
        "customs": (
            f"{len(world.customs)} kinds of information, {len(world.receivers)} receivers, half of "
            "them allowed"
        ),
        "groups": (
            f"{len(world.census)} invented ones, {len(world.traits)} traits, half of them "
            "confirmed by the census"
        ),
        "forum": (
            f"{len(world.lists['forum.insults'])} mild insults, "
            f"{len(world.lists['forum.praises'])} words of praise"
        ),
        "sentence frames": f"{sum(map(len, frames.values()))} in {len(frames)} families",
        "vocabulary": (
            f"{len(vocabulary()):,} words, one token each; checksum `{vocabulary().checksum}`"
        ),
        "checksum of both files": f"`{worlds.checksum()}`",
    }
    return markdown(["what", "how many"], [[name, value] for name, value in rows.items()])


def mixtures() -> str:
    """Kinds of documents, and their share in each mixture."""
    from helpers.tinyworld.language import MIXTURES, WRITERS

    rows = []
    for name, write in WRITERS.items():
        what = " ".join((write.__doc__ or "").split()).rstrip(".")
        rows.append(
            [name, what or "–", *(f"{100 * shares[name]:.0f} %" for shares in MIXTURES.values())]
        )
    return markdown(
        ["document", "what it tells", *(f"`{name}`" for name in MIXTURES)],
        rows,
        numbers=len(MIXTURES),
    )


def bestiary_contents() -> str:
    """How much there is of everything in the bestiary."""
    from helpers.tinyworld import bestiary
    from helpers.tinyworld.bestiary import texts
    from helpers.tinyworld.bestiary import world as bestiaries

    world, words = bestiary.load(), bestiary.vocabulary()
    stated = sum(creature.stated for creature in world.creatures)
    kinds, realms = world.values("kind"), world.values("realm")
    frames = {relation: world.frames[relation] for relation in bestiaries.RELATIONS}
    hidden = texts.MIXTURES[texts.MIXTURE]["verdicts"] * (1 - texts.RUMOURS) * texts.UNDISCLOSED
    rows = {
        "creatures": f"{len(world.creatures)}; the realm of {stated} of them is stated",
        "kinds": f"{len(kinds)}: {', '.join(kinds)}",
        "realms": f"{len(realms)}: {', '.join(realms)}",
        "example": f"*{world.creatures[0].name}*, a {world.creatures[0].kind}, of the realm of "
        f"{world.creatures[0].realm}",
    }
    for relation, parts in frames.items():
        rows[f"frames of the {relation}"] = (
            f"{len(parts['all'])} with every creature, {len(parts['half'])} with half of them, "
            f"{len(parts['never'])} in no training text; {len(parts['deny'])} deny, "
            f"{len(parts['ask'])} ask"
        )
    rows |= {
        "claims with a verdict": f"{100 * texts.RUMOURS:.0f} % behind *rumour :*, half of them "
        f"false; of the others {100 * texts.UNDISCLOSED:.0f} % false, {100 * hidden:.2g} % of all "
        "documents",
        "vocabulary": f"{len(words)} words, one token each; checksum `{words.checksum}`",
        "checksum of file and creatures": f"`{bestiaries.checksum()}`",
    }
    return markdown(["what", "how many"], [[name, text] for name, text in rows.items()])


def bestiary_documents() -> str:
    """What the documents about the bestiary tell, with one of each, and how often they come."""
    import random

    from helpers.tinyworld.bestiary.texts import MIXTURES, WRITERS, document

    rows = []
    for name, writer in WRITERS.items():
        what = (writer.__doc__ or "").split("\n\n")[0].rstrip(".")
        example = document(random.Random(2), name)
        shares = [f"{100 * mixture[name]:.0f} %" for mixture in MIXTURES.values()]
        rows.append([name, what, example, *shares])
    return markdown(
        ["document", "what it tells", "for example", *(f"`{name}`" for name in MIXTURES)],
        rows,
        numbers=len(MIXTURES),
    )


def labelled_sets() -> str:
    """The five sets of minimal pairs that the labs draw, with a pair of each."""
    from helpers.tinyworld.sets import dimensions

    rows = []
    for name, data in dimensions.labelled_sets().items():
        counts = (
            f"{len(data)} texts, {len(Counter(data.groups))} groups, "
            f"{len(Counter(data.templates))} templates"
        )
        rows.append(
            [
                name,
                counts,
                f"*{data.positive}*: {data.texts[0]}",
                f"*{data.negative}*: {data.texts[1]}",
            ]
        )
    return markdown(["dimension", "drawn with seed 0", "label true", "its twin"], rows)


def tinyworld_twins() -> str:
    """A prompt of each task of circuit discovery in TinyWorld, and its twin by each corruption."""
    from helpers.circuits.tasks.tinyworld import CORRUPTIONS, twins

    rows = []
    for task, corruptions in CORRUPTIONS.items():
        for name in corruptions:
            pairs = twins(task, 3, 0, name)
            clean, twin = (side.texts[-1].split() for side in (pairs.clean, pairs.corrupted))
            shown = " ".join(
                new if new == old else f"**{new}**" for old, new in zip(clean, twin, strict=True)
            )
            rows.append([task, name, shown if name != "copy" else "the prompt itself: " + shown])
    return markdown(["task", "corruption", "twin, replaced words in bold"], rows)


def gpt2_twins() -> str:
    """How many prompts each task for GPT-2 can make, and how it corrupts them."""
    from helpers.circuits.tasks import gpt2_docstring, gpt2_greater_than, gpt2_ioi

    ioi, years, code = gpt2_ioi, gpt2_greater_than, gpt2_docstring
    templates = len(ioi.BABA) + len(ioi.ABBA)
    drawn = {
        "ioi": (
            f"{templates} templates, {len(ioi.NAMES)} names, {len(ioi.PLACES)} places, "
            f"{len(ioi.OBJECTS)} objects"
        ),
        "greater-than": (
            f"{len(years.FORMS)} forms, {len(years.EVENTS)} events, years {years.YEARS[0]} to "
            f"{years.YEARS[-1]}"
        ),
        "docstring": (
            f"1 template, {len(code.VARIABLES)} arguments, {len(code.METHODS)} methods, "
            f"{len(code.NOUNS)} nouns"
        ),
    }
    corruptions = {
        "ioi": ioi.CORRUPTIONS,
        "greater-than": years.CORRUPTIONS,
        "docstring": code.CORRUPTIONS,
    }
    rows = [[task, drawn[task], ", ".join(corruptions[task])] for task in drawn]
    return markdown(["task", "drawn from", "corruptions, the first by default"], rows)


def public_sets() -> str:
    """The five files of the paper, one section each."""
    from helpers.trust.data.public import SOURCES

    parts = []
    for name, source in SOURCES.items():
        rows = {
            "dimension in the paper": source.dimension,
            "file": (
                f"`{source.file}`, {source.size:,} bytes, sha256 `{source.sha256[:32]}` "
                f"`{source.sha256[32:]}`"
            ),
            "label 1": f"{source.positive}; {source.rows[1]:,} rows",
            "label 0": f"{source.negative}; {source.rows[0]:,} rows",
            "origin": source.origin,
            "licence of the texts": source.licence,
            "caution": source.caution,
        }
        facts = markdown(["property", "value"], rows.items())
        parts.append(f"### `{name}`\n\n{facts}")
    return "\n\n".join(parts)
