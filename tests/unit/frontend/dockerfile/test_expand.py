from __future__ import annotations

import pytest

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import process_word, process_words
from pywerf.frontend.dockerfile.expand import Expander

ENV = {"A": "one", "EMPTY": "", "PATHS": "/usr/local/bin:/usr/bin", "STAR": "a*b*c", "SPACE": " x  y "}

ROWS = {
    "shell_row": [
        {"name": "plain", "in": "$A", "out": "one"},
        {"name": "two", "in": "$A$A-${A}b", "out": "oneone-oneb"},
        {"name": "dollar alone", "in": "a$", "out": "a$"},
        {"name": "dollar blank", "in": "a$ b", "out": "a$ b"},
        {"name": "dash unset", "in": "${X-y}", "out": "y"},
        {"name": "dash empty", "in": "[${EMPTY-y}]", "out": "[]"},
        {"name": "colon dash empty", "in": "[${EMPTY:-y}]", "out": "[y]"},
        {"name": "plus empty", "in": "[${EMPTY+y}]", "out": "[y]"},
        {"name": "colon plus empty", "in": "[${EMPTY:+y}]", "out": "[]"},
        {"name": "question message", "in": "${X:?no X}", "fail": True, "message": "X: no X"},
        {"name": "question unset", "in": "${X?}", "fail": True, "message": "X: is not allowed to be unset"},
        {"name": "question empty", "in": "${EMPTY:?}", "fail": True, "message": "EMPTY: is not allowed to be empty"},
        {"name": "shortest prefix", "in": "${PATHS#*/}", "out": "usr/local/bin:/usr/bin"},
        {"name": "longest prefix", "in": "${PATHS##*/}", "out": "bin"},
        {"name": "shortest suffix", "in": "${PATHS%/*}", "out": "/usr/local/bin:/usr"},
        {"name": "longest suffix", "in": "${PATHS%%:*}", "out": "/usr/local/bin"},
        {"name": "no prefix", "in": "${PATHS#x}", "out": "/usr/local/bin:/usr/bin"},
        {"name": "question mark", "in": "${A#??}", "out": "e"},
        {"name": "escaped star", "in": "${STAR#a\\*}", "out": "b*c"},
        {"name": "escaped brace", "in": "${A/n/\\}}", "out": "o\\}e"},
        {"name": "variable pattern", "in": "${PATHS#/${X:-usr}}", "out": "/local/bin:/usr/bin"},
        {"name": "replace", "in": "${PATHS/usr/opt}", "out": "/opt/local/bin:/usr/bin"},
        {"name": "replace all", "in": "${PATHS//usr/opt}", "out": "/opt/local/bin:/opt/bin"},
        {"name": "replace star", "in": "${PATHS/l*b/X}", "out": "/usr/X" + "in"},
        {"name": "replace slash", "in": "${PATHS//\\//_}", "out": "_usr_local_bin:_usr_bin"},
        {"name": "replace any", "in": "${A//?/x}", "out": "xxx"},
        {"name": "wrong escape", "in": "${A#\\q}", "fail": True, "message": "invalid escape '\\q'"},
        {"name": "modifier", "in": "${A^}", "fail": True, "message": "unsupported modifier (^) in substitution"},
        {
            "name": "colon modifier",
            "in": "${A:=x}",
            "fail": True,
            "message": "unsupported modifier (:=) in substitution",
        },
        {"name": "open brace", "in": "${A", "fail": True, "message": "syntax error: missing '}'"},
        {"name": "open slash", "in": "${A/b", "fail": True, "message": "syntax error: missing '/' in ${}"},
        {"name": "bad", "in": "${}", "fail": True, "message": "syntax error: bad substitution"},
        {"name": "open single", "in": "a'b", "fail": True, "message": "looking for matching single-quote"},
        {"name": "open double", "in": 'a"b', "fail": True, "message": "looking for matching double-quote"},
        {"name": "nested quotes", "in": "\"${X:-'$A'}\"", "out": "$A"},
        {"name": "quoted blanks", "in": '"$SPACE"z w', "words": [" x  y z", "w"]},
        {"name": "blanks of a variable", "in": "a${SPACE}b", "words": ["a", "x", "y", "b"]},
        {"name": "empty words", "in": "'' \"\" a", "words": ["a"]},
    ]
}


def test_rows(shell_row: dict) -> None:
    env = shell_row.get("env", ENV)
    if shell_row.get("fail"):
        with pytest.raises(DockerfileError) as caught:
            process_word(shell_row["in"], env)
        assert caught.value.message.startswith("failed to process ")
        assert shell_row.get("message", "") in caught.value.message
    elif "words" in shell_row:
        assert process_words(shell_row["in"], env) == shell_row["words"]
    else:
        assert process_word(shell_row["in"], env) == shell_row["out"]


def test_the_escape_is_what_the_directive_says() -> None:
    assert process_word("a\\b`$c", {}, "`") == "a\\b$c"
    assert process_word('"`$c\\"', {}, "`") == "$c\\"


def test_used_and_missing_variables_are_remembered() -> None:
    expander = Expander({"A": "1"})
    assert expander.word("$A ${B:-$C} '$D' \\$E") == "1  $D $E"
    assert expander.matched == {"A"}
    assert expander.unmatched == {"B", "C"}


def test_raw_forms() -> None:
    env = {"A": "1"}
    assert Expander(env, raw_quotes=True).word("'$A' \"$A\" \\'") == "'$A' \"1\" '"
    assert Expander(env, raw_escapes=True).word("\\$A $A") == "\\$A 1"
    assert Expander(env, skip_quotes=True).word('it\'s "$A" \\$A') == 'it\'s "1" $A'
    unset = Expander(env, skip_unset=True)
    assert unset.word("$A $B ${B} ${B:-c} ${B/c/d} ${B#c}") == "1 $B ${B} ${B:-c} ${B/c/d} ${B#c}"


def test_a_function_can_be_the_lookup() -> None:
    assert process_word("$x$y", lambda name: name * 2 if name == "x" else None) == "xx"


def test_deep_nesting_is_refused_not_crashed() -> None:
    with pytest.raises(DockerfileError, match="nested too deeply"):
        process_word("${a:-" * 5000 + "}" * 5000, {})
