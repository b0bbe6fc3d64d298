"""Every function of sprig, by the examples of its documentation and of Go's packages behind it."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.config.template.sprig import SPRIG
from pywerf.config.template.templates import TemplateSet
from pywerf.errors import TemplateError
from support.examples import examples

# What the tables of this file do not call is tested by functions of their own below.
ELSEWHERE = frozenset(
    (
        "ago", "now", "randAlpha", "randAlphaNum", "randAscii", "randNumeric", "randInt", "randBytes", "shuffle",
        "uuidv4", "getHostByName", "bcrypt", "htpasswd", "encryptAES", "decryptAES", "genPrivateKey", "genCA",
        "genCAWithKey",
        "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey", "buildCustomCert",
        "derivePassword", "fail",
    )
)  # fmt: skip


def render(text: str, data: Any = None) -> str:
    templates = TemplateSet(SPRIG)
    templates.add("t", text)
    return templates.execute("t", data)


STRINGS = [
    ("hello", "Hello!"),
    ('abbrev 5 "hello world"', "he..."),
    ('abbrev 3 "hello"', "hello"),
    ('abbrevboth 5 10 "1234 5678 9123"', "...5678..."),
    ('abbrevboth 0 3 "hello"', "hello"),
    ('trunc 5 "hello world"', "hello"),
    ('trunc -5 "hello world"', "world"),
    ('trunc 50 "hello"', "hello"),
    ('trim "  hello \\n"', "hello"),
    ('upper "hello"', "HELLO"),
    ('lower "HELLO"', "hello"),
    ('title "hello wide-world o\'neil"', "Hello Wide-World O'Neil"),
    ('untitle "Hello World"', "hello world"),
    ('substr 0 5 "hello world"', "hello"),
    ('substr 6 -1 "hello world"', "world"),
    ('substr -1 5 "hello world"', "hello"),
    ('repeat 3 "ab"', "ababab"),
    ('trimall "$" "$5.00$"', "5.00"),
    ('trimAll "$" "$5.00"', "5.00"),
    ('trimSuffix "-" "hello-"', "hello"),
    ('trimPrefix "-" "-hello"', "hello"),
    ('nospace " h e l l o "', "hello"),
    ('initials "First Try"', "FT"),
    ('swapcase "Hello World"', "hELLO wORLD"),
    ('snakecase "HTTP2XX"', "http_2xx"),
    ('snakecase "Duration2m3s"', "duration_2m3s"),
    ('snakecase "Bld4Floor3rd"', "bld4_floor_3rd"),
    ('kebabcase "HTTP20xOK"', "http-20x-ok"),
    ('camelcase "http_server2-name"', "HttpServer2Name"),
    ('camelcase "--"', "--"),
    ('wrap 5 "hello wide world"', "hello\nwide\nworld"),
    ('wrap 3 "abcdef gh"', "abcdef\ngh"),
    ('wrapWith 5 "-" "HelloWorld"', "Hello-World"),
    ('contains "cat" "catch"', "true"),
    ('hasPrefix "cat" "catch"', "true"),
    ('hasSuffix "cat" "catch"', "false"),
    ('quote "a\\"b" 3 nil', '"a\\"b" "3"'),
    ('squote "a" 1', "'a' '1'"),
    ('cat "hello" 1 nil "world"', "hello 1 world"),
    ('indent 2 "a\\nb"', "  a\n  b"),
    ('nindent 2 "a"', "\n  a"),
    ('replace " " "-" "I Am Henry"', "I-Am-Henry"),
    ('plural "one" "many" 1', "one"),
    ("toString 1.5", "1.5"),
    ('list 1 nil "a" | toStrings', "[1 a]"),
    ('join "-" (list 1 2 "x")', "1-2-x"),
    ('sortAlpha (list "b" "a" "C")', "[C a b]"),
    ('(split "$" "foo$bar")._1', "bar"),
    ('splitList "," "a,b,c"', "[a b c]"),
    ('splitList "" "abc"', "[a b c]"),
    ('(splitn "$" 2 "foo$bar$baz")._1', "bar$baz"),
]

NUMBERS = [
    ('atoi "42"', "42"),
    ('atoi "4x"', "0"),
    ('int "0x10"', "16"),
    ("int 3.9", "3"),
    ('int64 "010"', "8"),
    ("int64 true", "1"),
    ('float64 "1.5"', "1.5"),
    ('float64 "x"', "0"),
    ("toDecimal 777", "511"),
    ("until 3", "[0 1 2]"),
    ("until -2", "[0 -1]"),
    ("untilStep 3 6 2", "[3 5]"),
    ("seq 5", "1 2 3 4 5"),
    ("seq 2 -2", "2 1 0 -1 -2"),
    ("seq", ""),
    ("add1 1", "2"),
    ("add 1 2 3", "6"),
    ("sub 5 7", "-2"),
    ("div -7 2", "-3"),
    ("mod -7 2", "-1"),
    ("mul 2 3 4", "24"),
    ("add1f 1.5", "2.5"),
    ("addf 1.1 2.2", "3.3"),
    ("subf 7.5 2 0.5", "5"),
    ("divf 10 4", "2.5"),
    ("divf 1 3", "0.3333333333333333"),
    ("mulf 1.5 2 2", "6"),
    ("biggest 1 3 2", "3"),
    ("max 1 3 2", "3"),
    ("min 3 1 2", "1"),
    ("maxf 1 2.5", "2.5"),
    ("minf 1.5 2", "1.5"),
    ("ceil 123.001", "124"),
    ("floor 123.9999", "123"),
    ("round 123.555555 3", "123.556"),
    ("round 123.5 0", "124"),
    ("add 9223372036854775807 1", "-9223372036854775808"),
]

LISTS = [
    ("list 1 2", "[1 2]"),
    ("tuple 1 2", "[1 2]"),
    ("concat (list 1) (list 2 3)", "[1 2 3]"),
    ("all 1 true", "true"),
    ("any 0 false", "false"),
    ("first (list 1 2)", "1"),
    ("mustFirst (list 1 2)", "1"),
    ("last (list 1 2)", "2"),
    ("mustLast (list 1 2)", "2"),
    ("rest (list 1 2)", "[2]"),
    ("mustRest (list 1 2)", "[2]"),
    ("initial (list 1 2)", "[1]"),
    ("mustInitial (list 1 2)", "[1]"),
    ("append (list 1) 2", "[1 2]"),
    ("mustAppend (list 1) 2", "[1 2]"),
    ("push (list 1) 2", "[1 2]"),
    ("mustPush (list 1) 2", "[1 2]"),
    ("prepend (list 1) 0", "[0 1]"),
    ("mustPrepend (list 1) 0", "[0 1]"),
    ("reverse (list 1 2)", "[2 1]"),
    ("mustReverse (list 1 2)", "[2 1]"),
    ('uniq (list 1 1 "1" 1.0)', "[1 1 1]"),
    ("mustUniq (list 1 1)", "[1]"),
    ("without (list 1 2 3) 2", "[1 3]"),
    ("mustWithout (list 1 2 3) 2", "[1 3]"),
    ("has 4 (list 1 4)", "true"),
    ("mustHas 4 (list 1)", "false"),
    ("slice (list 1 2 3) 1", "[2 3]"),
    ("mustSlice (list 1 2 3) 1 2", "[2]"),
    ("chunk 2 (list 1 2 3)", "[[1 2] [3]]"),
    ("mustChunk 2 (list 1 2 3)", "[[1 2] [3]]"),
    ('compact (list 1 0 "" "a")', "[1 a]"),
    ('mustCompact (list 1 0 "" "a")', "[1 a]"),
]

DICTS = [
    ('dict "a" 1 "b"', "map[a:1 b:]"),
    ('get (dict "a" 1) "a"', "1"),
    ('get (dict "a" 1) "b"', ""),
    ('set (dict "a" 1) "b" 2', "map[a:1 b:2]"),
    ('unset (dict "a" 1 "b" 2) "a"', "map[b:2]"),
    ('hasKey (dict "a" 1) "a"', "true"),
    ('pluck "a" (dict "a" 1) (dict "b" 2) (dict "a" 3)', "[1 3]"),
    ('keys (dict "b" 1 "a" 2) | sortAlpha', "[a b]"),
    ('values (dict "b" 1 "a" 2)', "[2 1]"),
    ('pick (dict "a" 1 "b" 2) "a" "c"', "map[a:1]"),
    ('omit (dict "a" 1 "b" 2) "a" "c"', "map[b:2]"),
    ('merge (dict "a" 1 "m" (dict "x" 1)) (dict "a" 2 "b" 3 "m" (dict "x" 2 "y" 2))', "map[a:1 b:3 m:map[x:1 y:2]]"),
    ('mustMerge (dict "a" 0) (dict "a" 2)', "map[a:2]"),
    ('mergeOverwrite (dict "a" 1) (dict "a" 2 "b" 3)', "map[a:2 b:3]"),
    ('mustMergeOverwrite (dict "a" 1) (dict "a" 0)', "map[a:1]"),
    ('deepCopy (dict "a" (list 1))', "map[a:[1]]"),
    ("mustDeepCopy (list 1)", "[1]"),
    ('dig "a" "b" "default" (dict "a" (dict "b" 5))', "5"),
    ('dig "a" "c" "default" (dict "a" (dict "b" 5))', "default"),
    ('default "foo" ""', "foo"),
    ('default "foo" "bar"', "bar"),
    ("empty 0", "true"),
    ('coalesce 0 "" "x" 2', "x"),
    ('ternary "yes" "no" true', "yes"),
    ("typeOf 1.5", "float64"),
    ("typeOf (list)", "[]interface {}"),
    ('typeIs "string" "x"', "true"),
    ('typeIsLike "string" "x"', "true"),
    ("kindOf (list)", "slice"),
    ("kindOf nil", "invalid"),
    ('kindIs "int" 1', "true"),
    ("deepEqual (list 1 2) (list 1 2)", "true"),
    ("deepEqual 1 1.0", "false"),
    ('toJson (dict "b" "<&>" "a" (list 1 2.5 nil true))', '{"a":[1,2.5,null,true],"b":"\\u003c\\u0026\\u003e"}'),
    ("mustToJson (list 1)", "[1]"),
    ('toPrettyJson (dict "a" 1)', '{\n  "a": 1\n}'),
    ("mustToPrettyJson (list)", "[]"),
    ('toRawJson "<"', '"<"'),
    ('mustToRawJson "<"', '"<"'),
    ('(fromJson "{\\"a\\": 1}").a', "1"),
    ('fromJson "{"', "<no value>"),
    ('mustFromJson "[1, 2.5]"', "[1 2.5]"),
]

DATES = [
    ('date "2006-01-02" 0 | len', "10"),
    ('dateInZone "Mon Jan _2 15:04:05 MST 2006" 1700000000 "UTC"', "Tue Nov 14 22:13:20 UTC 2023"),
    ('date_in_zone "2006-01-02T15:04:05Z07:00" 1700000000 "America/New_York"', "2023-11-14T17:13:20-05:00"),
    ('dateInZone "Monday, 2. January 06 03:04PM .000" 1700000000 "nowhere"', "Tuesday, 14. November 23 10:13PM .000"),
    ("htmlDate 0 | len", "10"),
    ('htmlDateInZone 1700000000 "UTC"', "2023-11-14"),
    ('dateInZone "15:04" (dateModify "-1.5h" (toDate "2006-01-02 MST" "2020-01-01 UTC")) "UTC"', "22:30"),
    ('dateInZone "15:04" (date_modify "bad" (toDate "2006-01-02 MST" "2020-01-01 UTC")) "UTC"', "00:00"),
    ('unixEpoch (mustDateModify "1h" (toDate "2006-01-02 MST" "1970-01-01 UTC"))', "3600"),
    ('unixEpoch (must_date_modify "1s" (toDate "2006-01-02 MST" "1970-01-01 UTC"))', "1"),
    ("duration 95", "1m35s"),
    ('durationRound "2400h10m5s"', "3mo"),
    ("durationRound 100000000000", "1m"),
    ('toDate "2006-01-02 15:04:05.000 -0700" "2017-12-31 01:02:03.500 +0100" | unixEpoch', "1514678523"),
    ('toDate "2006-01-02T15:04:05Z07:00" "2020-02-29T23:00:00+01:00"', "2020-02-29 23:00:00 +0100 +0100"),
    ('(mustToDate "Jan 2, 2006 at 3:04pm (MST)" "Feb 3, 2013 at 7:54pm (UTC)").Year', "2013"),
    ('unixEpoch (toDate "2006" "1970" ) | len | lt 0', "true"),
]

MISC = [
    ('base "/a/b.txt"', "b.txt"),
    ('base "/"', "/"),
    ('base ""', "."),
    ('dir "/a/b.txt"', "/a"),
    ('dir "a"', "."),
    ('clean "/a/../b/./c"', "/b/c"),
    ('ext "a/b.tar.gz"', ".gz"),
    ('ext "a.b/c"', ""),
    ('isAbs "/a"', "true"),
    ('osBase "/a/b"', "b"),
    ('osDir "/a/b"', "/a"),
    ('osClean "a//b"', "a/b"),
    ('osExt "x.y"', ".y"),
    ('osIsAbs "a"', "false"),
    ('b64enc "hello"', "aGVsbG8="),
    ('b64dec "aGVsbG8="', "hello"),
    ('b64dec "!"', "illegal base64 data"),
    ('b32enc "hello"', "NBSWY3DP"),
    ('b32dec "NBSWY3DP"', "hello"),
    ('sha1sum "abc"', "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ('sha256sum ""', "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ('sha512sum "" | trunc 16', "cf83e1357eefb8bd"),
    ('adler32sum "abc"', "38600999"),
    ('(urlParse "https://u:p@example.org:8080/a%20b?q=1#f").path', "/a b"),
    ('(urlParse "https://u:p@example.org:8080/a?q=1#f").userinfo', "u:p"),
    ('(urlParse "mailto:a@b").opaque', "a@b"),
    ('urlJoin (dict "scheme" "http" "host" "h:80" "path" "/p" "query" "q" "fragment" "f")', "http://h:80/p?q#f"),
    ('urlJoin (urlParse "proto://auth@host:80/path?query#fragment")', "proto://auth@host:80/path?query#fragment"),
    ('(semver "v1.2.3-beta.1+ab").Prerelease', "beta.1"),
    ('semver "1.2"', "1.2.0"),
    ('(semver "1.2.3").Compare (semver "1.10.0")', "-1"),
    ('(semver "1.2.3-rc1").IncPatch', "1.2.3"),
]

VERSIONS = [
    ("=1.2.3", "1.2.3", True),
    ("1.2.3", "1.2.4", False),
    ("1.2", "1.2.9", True),
    ("1.x", "1.9.0", True),
    ("*", "3.0.0", True),
    ("!=1.2", "1.2.9", False),
    (">1.2", "1.2.9", False),
    (">1.2", "1.3.0", True),
    ("<=1.2", "1.2.9", True),
    ("<1.2", "1.1.9", True),
    ("^1.2.3", "1.9.0", True),
    ("^1.2.3", "2.0.0", False),
    ("^0.2.3", "0.3.0", False),
    ("^0.0.3", "0.0.4", False),
    ("~1.2.3", "1.2.9", True),
    ("~1.2.3", "1.3.0", False),
    ("~1", "1.9.0", True),
    (">=1.2.0, <2.0.0", "1.5.0", True),
    (">=1.2.0 <2.0.0", "2.0.0", False),
    ("1.2 - 1.4.5", "1.4.5", True),
    ("<1.0.0 || >=2.0.0", "2.1.0", True),
    (">=1.0.0", "1.1.0-beta", False),
    (">=1.0.0-0", "1.1.0-beta", True),
    ("^1.2.0-beta", "1.2.0-beta.2", True),
    ("1.2.0-alpha.10", "1.2.0-alpha.9", False),
]

REGEXES = [
    ('regexMatch "^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+$" "test@acme.com"', "true"),
    ('mustRegexMatch "a$" "a\\n"', "false"),
    ('regexFindAll "[2,4,6,8]" "123456789" -1', "[2 4 6 8]"),
    ('mustRegexFindAll "a*" "baac" 2', "[ aa]"),
    ('regexFind "[a-z][1-9]" "abcd1234"', "d1"),
    ('mustRegexFind "x" "abc"', ""),
    ('regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W"', "-W-xxW-"),
    ('mustRegexReplaceAll "a(?P<x>x*)b" "-axxb-" "$x-$$"', "-xx-$-"),
    ('regexReplaceAllLiteral "a(x*)b" "-ab-axxb-" "${1}"', "-${1}-${1}-"),
    ('mustRegexReplaceAllLiteral "a" "aa" "b"', "bb"),
    ('regexSplit "z+" "pizza" -1', "[pi a]"),
    ('mustRegexSplit "," "a,b,c" 2', "[a b,c]"),
    ('regexQuoteMeta "1.2.3[a]"', "1\\.2\\.3\\[a\\]"),
    ('regexMatch "^[[:alpha:]]+\\\\z" "abc"', "true"),
    ('regexFind "(?i)ABC" "xabc"', "abc"),
    ('regexFind "x(?i)abc" "xABC"', "xABC"),
    ('regexMatch "\\\\Qa.b\\\\E" "axb"', "false"),
    ('regexMatch "\\\\d" "٣"', "false"),
]

TABLE = [*STRINGS, *NUMBERS, *LISTS, *DICTS, *DATES, *MISC, *REGEXES]


@pytest.mark.parametrize(("action", "text"), TABLE, ids=[action for action, _ in TABLE])
def test_gives_what_its_documentation_says(action: str, text: str) -> None:
    assert render("{{ " + action + " }}") == text


@pytest.mark.parametrize(("constraint", "version", "allowed"), VERSIONS)
def test_ranges_of_versions(constraint: str, version: str, allowed: bool) -> None:
    assert render(f'{{{{ semverCompare "{constraint}" "{version}" }}}}') == str(allowed).lower()


@pytest.mark.parametrize(
    "action",
    [
        'fail "message"', "div 1 0", "mod 1 0", "divf 1 0", "first 1", 'chunk 0 (list 1)', 'dig "a" (dict)',
        'set 1 "a" 2', "until 100000000", 'repeat 1000000000 "x"', 'repeat -1 "x"', 'regexMatch "(" "x"',
        'regexMatch "(?=a)" "x"', 'regexFind "a**" "x"', 'semver "x"', 'semverCompare "nonsense" "1.0.0"',
        'mustToDate "2006" "x"', 'mustFromJson "{"', 'mustToJson (dict "a" 1i)', 'urlParse "http://[::1"',
        'slice (list 1 2) 2 1', 'substr 5 3 "hello"', 'unixEpoch 5', 'urlJoin 1', 'randInt 5 5',
        'decryptAES "p" "x"', 'genPrivateKey "nope"', 'buildCustomCert "x" "y"', 'genSignedCert "a" nil nil 1 "x"',
        'set (dict) "a" nil 1', "must", 'htmlDate', 'index (list 1) 5',
    ],
)  # fmt: skip
def test_wrong_arguments_are_an_error_of_the_template(action: str) -> None:
    with pytest.raises(TemplateError, match="template: t:1"):
        render("{{ " + action + " }}")


def test_a_map_cannot_be_put_into_itself() -> None:
    with pytest.raises(TemplateError, match="into itself"):
        render('{{ $d := dict }}{{ set $d "a" (list $d) }}')


def test_random_texts_have_their_length_and_alphabet() -> None:
    for name, pattern in (
        ("randAlpha", "[A-Za-z]{20}"),
        ("randAlphaNum", "[A-Za-z0-9]{20}"),
        ("randNumeric", "[0-9]{20}"),
        ("randAscii", "[ -~]{20}"),
    ):
        first, second = render(f"{{{{ {name} 20 }}}}"), render(f"{{{{ {name} 20 }}}}")
        assert re.fullmatch(pattern, first)
        assert first != second
    assert 5 <= int(render("{{ randInt 5 8 }}")) < 8
    assert len(base64.b64decode(render("{{ randBytes 12 }}"))) == 12
    assert sorted(render('{{ shuffle "hello" }}')) == sorted("hello")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", render("{{ uuidv4 }}"))


def test_now_and_ago() -> None:
    assert render("{{ ago now }}") == "0s"
    assert int(render("{{ now.Year }}")) >= 2024
    assert render("{{ now | unixEpoch | atoi | lt 1700000000 }}") == "true"


def test_hosts_have_addresses() -> None:
    assert render('{{ getHostByName "localhost" }}').startswith("127.")
    assert render('{{ getHostByName "no.such.host.invalid" }}') == ""


def test_texts_are_encrypted_and_decrypted() -> None:
    assert render('{{ encryptAES "secret" "text ü" | decryptAES "secret" }}') == "text ü"
    # from sprig's documentation
    assert render('{{ "30tEfhuJSVRhpG97XCuWgz2okj7L8vQ1s6V9zVUPeDQ=" | decryptAES "secretkey" }}') == "plaintext"


def test_passwords_are_derived_as_master_password_does() -> None:
    actions = [
        ('derivePassword 1 "long" "password" "user" "example.com"', "ZedaFaxcZaso9*"),
        ('derivePassword 2 "long" "password" "user" "example.com"', "Fovi2@JifpTupx"),
        ('derivePassword 1 "maximum" "password" "user" "example.com"', "pf4zS1LjCg&LjhsZ7T2~"),
        ('derivePassword 1 "medium" "password" "user" "example.com"', "ZedJuz8$"),
        ('derivePassword 1 "basic" "password" "user" "example.com"', "pIS54PLs"),
        ('derivePassword 1 "short" "password" "user" "example.com"', "Zed5"),
        ('derivePassword 1 "pin" "password" "user" "example.com"', "6685"),
        ('derivePassword 1 "nope" "password" "user" "example.com"', "cannot find password template nope"),
    ]
    for action, password in actions:
        assert render("{{ " + action + " }}") == password


def test_passwords_are_hashed() -> None:
    import bcrypt

    assert bcrypt.checkpw(b"word", render('{{ bcrypt "word" }}').encode())
    assert render('{{ htpasswd "me" "word" }}').startswith("me:$2a$10$")
    assert render('{{ htpasswd "a:b" "word" }}') == "invalid username: a:b"


def test_keys_and_certificates() -> None:
    from cryptography import x509

    text = (
        '{{ $k := genPrivateKey "ecdsa" }}{{ $ca := genCAWithKey "my-ca" 10 $k }}'
        '{{ $c := genSignedCertWithKey "host" (list "10.0.0.1") (list "a.example") 5 $ca (genPrivateKey "ed25519") }}'
        '{{ $s := genSelfSignedCertWithKey "self" nil nil 1 $k }}{{ $b := buildCustomCert (b64enc $ca.Cert) '
        "(b64enc $ca.Key) }}{{ $ca.Cert }}|{{ $c.Cert }}|{{ $c.Key }}|{{ $s.Cert }}|{{ eq $b.Cert $ca.Cert }}"
    )
    authority, cert, key, own, same = render(text).split("|")
    first = x509.load_pem_x509_certificate(authority.encode())
    second = x509.load_pem_x509_certificate(cert.encode())
    second.verify_directly_issued_by(first)
    assert first.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = second.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert "PRIVATE KEY" in key
    x509.load_pem_x509_certificate(own.encode()).verify_directly_issued_by(x509.load_pem_x509_certificate(own.encode()))
    assert same == "true"


def test_certificates_with_new_keys() -> None:
    from cryptography import x509

    text = (
        '{{ $ca := genCA "ca" 1 }}{{ $c := genSignedCert "h" nil (list "h") 1 $ca }}'
        '{{ $s := genSelfSignedCert "s" nil nil 1 }}{{ $ca.Cert }}|{{ $c.Cert }}|{{ $s.Cert }}'
    )
    authority, cert, own = (x509.load_pem_x509_certificate(part.encode()) for part in render(text).split("|"))
    cert.verify_directly_issued_by(authority)
    own.verify_directly_issued_by(own)


def test_nothing_is_left_without_a_test() -> None:
    words = {word for action, _ in TABLE for word in re.findall(r"[A-Za-z_0-9]+", action)} | {"semverCompare"}
    assert set(SPRIG) - words - ELSEWHERE == set()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=5,
)
_CHEAP = sorted(set(SPRIG) - ELSEWHERE - {"repeat", "indent", "nindent", "until", "untilStep", "seq"})


@examples(300)
@given(st.sampled_from(_CHEAP), st.lists(_VALUES, max_size=4))
def test_any_arguments_give_a_text_or_an_error_of_the_template(name: str, values: list[Any]) -> None:
    arguments = " ".join(f"(index .a {n})" for n in range(len(values)))
    try:
        render(f"{{{{ {name} {arguments} }}}}", {"a": values})
    except TemplateError:
        pass
