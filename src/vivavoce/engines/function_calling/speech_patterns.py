"""Turns of speech in which requests are made: patterns and lists of words, English only."""

from __future__ import annotations

import re

from vivavoce.engines.function_calling import numbers, words

CODE = re.compile(r"\+?(?:\b[a-z]*\d[\w-]*\b)(?:[ -]?\b[a-z]?\d[\w-]*\b)*")
CODE_WORDS = re.compile(
    r"\b(?:(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double)\b[ -]?){2,}"
)
DIGITS = {word: str(digit) for digit, word in enumerate(numbers.DIGIT_NAMES)}

STOP = (
    r"to|for|with|in|on|at|from|by|about|that|saying|says|if|because|when|until|till|please|now"
    r"|right|as|into|onto|before|after|around|under|below|over|so|but|today|tonight|tomorrow|and"
    r"|is|are|was|will|would|can|could|should|has|have|again|who|which|instead|back|up|down|off"
    r"|out|not|then|too|anymore|any more|at all|i|we|you|he|she|they|me|them|it|us|how"
)
WORD = r"[^\s,.;:!?\"]+(?:[.,:'’@/][^\s,.;:!?\"]+)*"
PHRASE = rf"((?!(?:{STOP})\b){WORD}(?: (?!(?:{STOP})\b){WORD}){{0,3}})"
MINE = re.compile(r"^(?:the|a|an|some|any|my|our) ")

LEAD = re.compile(
    r"^(?:(?:hey|ok|okay|hello|hi|well|um|uh|so|now|then|alright|all right|right|please|actually|oh"
    r"|and|also|just|yes|yeah|no wait|wait|great|thanks|on second thoughts?)\b[\s,]*)+"
)
FRAME = re.compile(
    r"^(?:(?:can|could|would|will) (?:you|we|i)(?: please)?(?: mind)?(?: have| get)?(?: me)?"
    r"|i(?:'m| am) in the mood for|i(?:'d| would) (?:like|love)(?: you)?(?: to)?"
    r"|i (?:want|need|wish)(?: you)?(?: to)?|i(?:'m| am) looking for|i feel like|i(?:'ll| will)"
    r"(?: take| have)?|let(?:'s| us)|let me|go ahead and|do you (?:have|sell|carry|stock)"
    r"|(?:what|how|where|when) (?:can|could|should|do|would|may) (?:i|we|you)"
    r"|have you got|have we got|are there|is there|where (?:is|are|did i put|do i have|can i find)"
    r"|where's|what about|how about|give me|get me|show me|bring me|tell me|help me|don't forget to"
    r"|make sure(?: that)?(?: you)?|i don't (?:want|need|like)|i no longer (?:want|need)"
    r"|what is|what's"
    r"|i (?:won't|can't|cannot|will not) (?:make it|come|go|be able to (?:come|go|make it)) to"
    r"|(?:change|edit) the (?:\w+ )?(?:name|title) (?:of|from)|i(?:'m| am) not going to"
    r"|what are|who is|we (?:want|need)(?: to)?|i(?:'ve| have) (?:got|had)?|there is|there's)\b\s*"
)
VERBS = words.word_set(
    "play find search look show open close delete remove erase put add get take send set make"
    " create start stop cancel call read write buy order move push rename change share schedule"
    " book plan arrange hear listen see watch need want have bring give throw trash drop track"
    " return save store turn switch let tell text message email ring phone dial remind pull fetch"
    " locate display toss scrap kill clear dump order check keep discard end sending calling"
    " listening hearing playing searching seeing shift postpone reschedule call enter note invite"
    " hand go edit bring lend begin do run try choose pick grab list skip pencil squeeze note jot"
    " bin wipe ping nudge rouse dump ship store forget hand mention use change refresh insert fit"
)
LOOSE = words.word_set(
    "up down on off out away for to of at in into me us him her them it some any something anything"
    " a an the my our your back all please now just also by with about is are there one rid and"
    " more everything named called more over through new something"
    " permanently completely finally immediately quickly access"
)
DETERMINERS = words.word_set("the a an my our your his her their this that some any")
TAIL = re.compile(
    r"(?:[\s,]+(?:please|now|right now|for me|thanks|thank you|out|away|off|again|any ?more|too"
    r"|as well|instead|for good|would you|will you|could you|can you|then|after all|at all|here"
    r"|for us|from now on|forever|so far|to|for|with|in|on|at|from|by|into|of|and|as|up|back"
    r"|right away|next|first|ago|asap|if you can|i think|via|is|are|with me|with us|to me"
    r"|under|over|below|within|than|on it|in it|in there|to it|from it|of it|from there|anyway"
    r"|though|yet))+$"
)
CALLED = re.compile(r"\b(?:called|named|titled|entitled|labell?ed)[\s,]+")
MESSAGE = re.compile(
    r"(?:\b(?:saying|to say|which says|that says|telling (?:him|her|them)|with the (?:words|text)"
    r"|let(?:ting)? (?:him|her|them) know|reading)\b(?: that)?|:(?=\s)|\bthat\b|\bwhether\b)[\s,]*"
)
TELLING = re.compile(
    r"^(?:(?:note|write|jot|put|say|report|tell (?:them|everybody|everyone|me|him|her)|announce|add"
    r"|log|record|enter|save)\b(?: (?:down|in|into|a note|this|that))*[\s,:]*)"
)
REMIND = re.compile(
    r"\b(?:remind me|reminder|don't let me forget|do not let me forget|remember|make sure i"
    r"|note|i must not forget|i mustn't forget|help me remember|i need to remember|don't forget)"
    r"(?: (?:to|that|about|of|for me to))?\s+(?:(?:to|that|about|of)\s+)?"
)
TO_PERSON = re.compile(
    rf"\b(?:(?:to|with|invite|send|lend|hand|show|bring|pay|owe|block|greet|meet|see"
    r"|ask|tell|text|message|email|phone|ring|call|dial|let|contact|reach"
    rf"|for|give|get|inform|write)(?: up| to)? )(?:my |the )?{PHRASE}"
)
FROM_PERSON = re.compile(rf"\b(?:from|by|of|did|has|does|with|what) (?:my |the )?{PHRASE}")
IN_PLACE = re.compile(
    rf"\b(in|at|for|near|to|from|of|inside|around|into|through|over) (?:the )?{PHRASE}"
)
ROOMS = (
    r"(?:(?:living|dining|bed|bath|guest|laundry|kids|children's|play|store|class|meeting)[ -]?room"
    r"|(?:guest |master )?bedroom|kitchen|bathroom|hallway|hall|office|study|nursery|garage|attic"
    r"|basement|cellar|garden|balcony|terrace|toilet|lounge|conservatory|corridor|patio|library"
    r"|den|pantry|porch|loft|upstairs|downstairs)"
)
ROOM = re.compile(rf"\b{ROOMS}\b")
AUXILIARY = words.word_set(
    "i we you he she it they who whom what where when which how why does did do is are was were has"
    " had have can could will would am be been not no so that this these those if then there here"
    " should may might must got get gets going want wanted like liked just any still ever really"
    " much many long far"
)
NO_PERSON = (
    AUXILIARY
    | words.word_set(
        "know see edit him her them it everyone me us that the alarm timer music song file there"
        " message messages text texts call calls anybody anyone somebody someone everybody people"
        " number talk speak send write tell say be hear listen"
    )
    | VERBS
)
CLAUSE = re.compile(
    r"\s(?:any ?more\b|(?:take|get|put|throw|send) (?:it|them|that)\b"
    r"|and (?:let|make|give|send|put|tell|allow)\b|so (?:he|she|they|we|i)\b"
    r"|(?:,\s*)?i (?:want|need|don't|would|do not|think|can't)\b)"
)
PREDICATE = re.compile(
    r"\s(?:arrived|came|is|are|was|were|isn't|aren't|doesn't|don't|does|do|should|has|have|must|can"
    r"|will|needs?|broke|stopped|i|we|they|it|because|but)\b"
)
NO_LABEL = (
    LOOSE
    | VERBS
    | AUXILIARY
    | words.word_set("timer alarm clock countdown minute what's where's how's")
)
LANGUAGE = re.compile(
    r"\b(?:english|spanish|french|german|italian|portuguese|dutch|swedish|norwegian|danish|finnish"
    r"|icelandic|polish|czech|slovak|hungarian|romanian|bulgarian|serbian|croatian|slovenian|greek"
    r"|turkish|russian|ukrainian|arabic|hebrew|persian|farsi|urdu|hindi|bengali|punjabi|tamil"
    r"|chinese|mandarin|cantonese|japanese|korean|vietnamese|thai|indonesian|malay|tagalog|swahili"
    r"|latin|irish|welsh|catalan|basque|estonian|latvian|lithuanian|albanian|esperanto)\b"
)
FOLLOWS_VERB = words.word_set(
    "a an the my our your some any this that these those me us him her them it in on up to off out"
    " down for with at from about into number all"
)
"""Words after which the first word of a request can only have been its verb."""
