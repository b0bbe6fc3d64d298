"""sprig's functions (v3, the set for texts, without expandenv), loaded module by module when one is used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping

from pywerf.config.template.values import Func

__all__ = ["SPRIG"]

_NAMES = {
    "strings": """
        abbrev abbrevboth camelcase cat contains hasPrefix hasSuffix hello indent initials join
        kebabcase lower nindent nospace plural quote randAlpha randAlphaNum randAscii randNumeric
        repeat replace shuffle snakecase sortAlpha split splitList splitn squote substr swapcase
        title toString toStrings trim trimAll trimPrefix trimSuffix trimall trunc untitle upper wrap
        wrapWith
    """,
    "numbers": """
        add add1 add1f addf atoi biggest ceil div divf float64 floor int int64 max maxf min minf mod
        mul mulf randInt round seq sub subf toDecimal until untilStep
    """,
    "lists": """
        all any append chunk compact concat first has initial last list mustAppend mustChunk
        mustCompact mustFirst mustHas mustInitial mustLast mustPrepend mustPush mustRest mustReverse
        mustSlice mustUniq mustWithout prepend push rest reverse slice tuple uniq without
    """,
    "dicts": """
        coalesce deepCopy deepEqual default dict dig empty fail fromJson get hasKey keys kindIs
        kindOf merge mergeOverwrite mustDeepCopy mustFromJson mustMerge mustMergeOverwrite
        mustToJson mustToPrettyJson mustToRawJson omit pick pluck set ternary toJson toPrettyJson
        toRawJson typeIs typeIsLike typeOf unset values
    """,
    "dates": """
        ago date dateInZone dateModify date_in_zone date_modify duration durationRound htmlDate
        htmlDateInZone mustDateModify mustToDate must_date_modify now toDate unixEpoch
    """,
    "regexes": """
        mustRegexFind mustRegexFindAll mustRegexMatch mustRegexReplaceAll mustRegexReplaceAllLiteral
        mustRegexSplit regexFind regexFindAll regexMatch regexQuoteMeta regexReplaceAll
        regexReplaceAllLiteral regexSplit
    """,
    "misc": """
        adler32sum b32dec b32enc b64dec b64enc base clean dir ext getHostByName isAbs osBase osClean
        osDir osExt osIsAbs sha1sum sha256sum sha512sum urlJoin urlParse uuidv4
    """,
    "versions": """
        semver semverCompare
    """,
    "crypto": """
        bcrypt buildCustomCert decryptAES derivePassword encryptAES genCA genCAWithKey genPrivateKey
        genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey htpasswd
        randBytes
    """,
}


class _Sprig(Mapping[str, Func]):
    """The functions by name. Looking at the names loads nothing."""

    def __init__(self) -> None:
        self._modules = {name: module for module, names in _NAMES.items() for name in names.split()}

    def __getitem__(self, name: str) -> Func:
        module = importlib.import_module(f"{__name__}.{self._modules[name]}")
        found: Func = module.FUNCTIONS[name]
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


SPRIG: Mapping[str, Func] = _Sprig()
