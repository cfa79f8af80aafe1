"""Other words for the values and parameters that functions are declared with.

General English, for use beside the words of the declaration itself: whoever says "every day"
means `daily` wherever it is declared.
"""

from __future__ import annotations

import re

from vivavoce.engines.function_calling import words

# A declared word, and what people say for it. An entry holds for the stem of the word.
_SAID: dict[str, str] = {
    "open": "raise|raised|opened|lift|up|uncover",
    "close": "shut|closed|down|lower|lowered|drawn|draw|cover",
    "half": "halfway|half way|middle|partly|partially|fifty percent",
    "full": "fully|completely|all the way",
    "lock": "locked|bolt|secure",
    "unlock": "unlocked|open|let * in|let in",
    "once": "one time|only once|just once|just tomorrow|only tomorrow",
    "daily": "every day|each day|every morning|each morning|every evening|every night|everyday",
    "weekdays": "every weekday|on weekdays|monday to friday|work days|workdays|working days"
    "|monday through friday|weekday|on work days",
    "weekends": "every weekend|on weekends|saturdays and sundays|at weekends|saturday and sunday"
    "|weekend",
    "weekly": "every week|each week",
    "monthly": "every month|each month",
    "celsius": "centigrade",
    "sunrise": "sun rise|sun rises|sun come up|sun comes up|sun coming up|dawn|get light"
    "|gets light|daybreak|first light|sun up|sun is up",
    "sunset": "sun set|sun sets|sun go down|sun goes down|sun going down|dusk|get dark|gets dark"
    "|nightfall|sundown|sun down",
    "frost": "freezing|freezes|freeze|ice|icy|cold",
    "storm": "storms|stormy|hurricane|hurricanes|gale|gales|thunderstorm|thunderstorms|wind|winds",
    "heat": "hot|heatwave|heat wave|heat waves|heatwaves|scorching",
    "flood": "flooding|floods|high water",
    "broken": "broke|defective|damaged|pieces|cracked|crack|faulty|shattered|doesn't work"
    "|does not work|stopped working|torn|scratched|dead|don't work|not working|smashed|in bits",
    "wrong size": "too small|too large|too big|too tight|doesn't fit|don't fit|does not fit|size"
    "|too short|too long|do not fit|too wide|too loose",
    "not wanted": "don't want|do not want|don't like|do not like|don't need|changed my mind"
    "|no longer need|do not need|doesn't like|unwanted|not want|no longer want",
    "wrong": "incorrect|mistake|not what i ordered",
    "express": "fast|fastest|as fast as possible|as soon as possible|quick|quickest|quickly|asap"
    "|urgent|rush|overnight|hurry",
    "standard": "normal|regular|usual|ordinary",
    "pickup": "pick up|pick it up|collect|pick them up|fetch|i'll come by|store|pick everything up",
    "image": "picture|pictures|photo|photos|photograph|photographs|images|pics|pic|snapshots",
    "video": "videos|film|films|clip|clips|movie|movies|footage",
    "audio": "recording|recordings|sound|sounds|voice memo|song|songs|voice memos|podcast",
    "document": "documents|paper|papers|letter|letters|text document|pdf|pdfs",
    "off": "stop|no more|disable|deactivate|no|quit|don't|stop repeating|without",
    "one": "this song|this one|this track|single|one song|same song|current song|the song"
    "|over and over|again and again|this",
    "all": "everything|whole|entire|all of it|all songs",
    "high": "strong|strongest|full|maximum|max|highest|fast",
    "low": "weak|slow|minimum|min|lowest|gentle|quiet",
    "medium": "middle|normal|moderate",
    "urgent": "immediately|right away|asap|emergency|critical",
    "permanently": "permanent|for good|forever|for ever|completely|without the trash|erase"
    "|for all time|irreversibly|once and for all",
    "speaker": "hands free|hands-free|handsfree|loudspeaker|speakerphone|loud",
    "gift wrap": "gift|wrap|wrapped|present|gift-wrapped|wrapping",
    "edit": "edit|editing|change|write|modify|edits|changes|work on|make changes",
    "quiet": "silent|silently|silence",
}
_OFF = re.compile(
    r"\b(?:off|stop|disable|deactivate|no longer|no more|not|don't|do not|never|unmute|without"
    r"|any ?more|cancel|end|again|back|remove|quit|lift|enough|false|disabled|close|no)\b"
)
_DENIED = re.compile(r"\b(?:off|not|no|never|without|no longer|don't|mustn't|shouldn't|can't)\b")
_ON = re.compile(
    r"\b(?:on|yes|true|enable|enabled|activate|with|start|open|warn|turn on|switch on|tell me)\b"
)
_THROUGH = re.compile(
    r"\b(?:reached|reach me|through|let (?:calls|messages|people|everyone|everybody)|available"
    r"|unmute|off|over|end|stop|again|lift|back on|disable|deactivate|back|no longer|any ?more)\b"
)


def named(value: str, said: str) -> bool:
    """Whether what was said names a declared value, in its own words or in others."""
    heard = words.tokenize(said)
    parts = words.split_identifier(value)
    if parts and all(any(words.is_similar(part, one) for one in heard) for part in parts):
        return True
    return meant(value, said)


def meant(value: str, said: str) -> bool:
    """Whether what was said has another word for a declared value."""
    plain = " ".join(words.tokenize(said))
    parts = words.split_identifier(value)
    known = _SAID.get(" ".join(parts)) or _by_stem(parts)
    return known is not None and any(_has(plain, phrase) for phrase in known.split("|"))


def is_off(said: str) -> bool:
    """Whether what was said switches something off."""
    return bool(_OFF.search(said.lower().replace("’", "'")))


def is_negated(said: str) -> bool:
    """Whether what was said denies something."""
    return bool(_DENIED.search(said.lower().replace("’", "'")))


def is_on(said: str) -> bool:
    """Whether what was said switches something on."""
    return bool(_ON.search(said.lower()))


def lets_through(said: str) -> bool:
    """Whether what was said ends a silence."""
    return bool(_THROUGH.search(said.lower()))


def _by_stem(parts: list[str]) -> str | None:
    if len(parts) != 1:
        return None
    stem = words.stem(parts[0])
    return next((said for word, said in _SAID.items() if words.stem(word) == stem), None)


def _has(plain: str, phrase: str) -> bool:
    pattern = re.escape(phrase.replace("-", " ")).replace(r"\*", r"(?:\w+ ){0,3}\w+")
    return bool(re.search(rf"\b{pattern}\b", plain))
