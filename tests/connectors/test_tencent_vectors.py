"""The platform's own published samples: what Tencent's documents sign and encrypt, we verify and open."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from connectors.base import Delivery, Handshake, Refused, Request
from connectors.tencent import MessageCrypt, check_signature, read_xml, sign
from tests.connectors.account import connector
from tests.wechat_client import decrypt

A43 = "A" * 43
SPAM_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
WECOM_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"


@dataclass(frozen=True)
class Sample:
    token: str
    receiver: str
    key: str
    timestamp: str
    nonce: str
    signature: str
    encrypted: str
    contains: str


SAMPLES = {
    "message 2014": Sample(
        "spamtest",
        "wx2c2769f8efd9abc2",
        SPAM_KEY,
        "1409735669",
        "1320562132",
        "5d197aaffba7e9b25a30732f161a50dee96bd5fa",
        "hyzAe4OzmOMbd6TvGdIOO6uBmdJoD0Fk53REIHvxYtJlE2B655HuD0m8KUePWB3+LrPXo87wzQ1QLvbeUgmBM4x6F8PGHQHFVAFmOD2LdJF9"
        "FrXpbUAh0B5GIItb52sn896wVsMSHGuPE328HnRGBcrS7C41IzDWyWNlZkyyXwon8T332jisa+h6tEDYsVticbSnyU8dKOIbgU6ux5VTjg3y"
        "t+WGzjlpKn6NPhRjpA912xMezR4kw6KWwMrCVKSVCZciVGCgavjIQ6X8tCOp3yZbGpy0VxpAe+77TszTfRd5RJSVO/HTnifJpXgCSUdUue1v"
        "6h0EIBYYI1BD1DlD+C0CR8e6OewpusjZ4uBl9FyJvnhvQl+q5rv1ixrcpCumEPo5MJSgM9ehVsNPfUM669WuMyVWQLCzpu9GhglF2PE=",
        "<Content><![CDATA[abcdteT]]></Content>",
    ),
    "reply 2014": Sample(
        "spamtest",
        "wx2c2769f8efd9abc2",
        SPAM_KEY,
        "1415979516",
        "1320562132",
        "096d8cda45e4678ca23460f6b8cd281b3faf1fc3",
        "3kKZ++U5ocvIF8dAHPct7xvUqEv6vplhuzA8Vwj7OnVcBu9fdmbbI41zclSfKqP6/bdYAxuE3x8jse43ImHaV07siJF473TsXhl8Yt8task0"
        "n9KC7BDA73mFTwlhYvuCIFnU6wFlzOkHyM5Bh2qpOHYk5nSMRyUG4BwmXpxq8TvLgJV1jj2DXdGW4qdknGLfJgDH5sCPJeBzNC8j8KtrJFxm"
        "G7qIwKHn3H5sqBf6UqhXFdbLuTWL3jwE7yMLhzOmiHi/MX/ZsVQ7sMuBiV6bW0wkgielESC3yNUPo4q/RMAFEH0fRLr76BR5Ct0nUbf9PdCl"
        "c0RdlYcztyOs54X/KLbYRNCQ2kXxmJYL6ekdNe70PCAReIEfXEp+pGpry4ss8bD6LKAtNvBJUwHshZe6sbf+fOiDiuKEqp1wdQLmgN+8nX62"
        "LklySWr8QrNCpsmKClxco0kbVYNX/QVh5yd0UA1sAqIn6baZ9G+Z/OXG+Q4n9lUuzLprLhDBPaCvXm4N14oqXNcw7tqU2xfhYNIDaD72djyI"
        "c/4eyAi2ZsJ+3hb+jgiISR5WVveRWYYqGZGTW3u+27JiXEo0fs3DQDbGVIcYxaMgU/RRIDdXzZSFcf6Z1azjzCDyV9FFEsicghHn",
        "<Title><![CDATA[testCallBackReplyVideo]]></Title>",
    ),
    "message 2024": Sample(
        "AAAAA",
        "wxba5fad812f8e6fb9",
        A43,
        "1714112445",
        "415670741",
        "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3",
        "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsX"
        "UnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajA"
        "sjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04=",
        '"debug_str":"hello world"',
    ),
    "reply 2024": Sample(
        "AAAAA",
        "wxba5fad812f8e6fb9",
        A43,
        "1713424427",
        "415670741",
        "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1",
        "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ==",
        '{"demo_resp":"good luck"}',
    ),
    "WeCom message": Sample(
        "QDG6eK",
        "wx5823bf96d3bd56c7",
        WECOM_KEY,
        "1409659813",
        "1372623149",
        "477715d11cdb4164915debcba66cb864d751f3e6",
        "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvu"
        "JTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwG"
        "c2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9"
        "EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0"
        "lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q==",
        "<Content><![CDATA[hello]]></Content>",
    ),
    "WeCom handshake": Sample(
        "QDG6eK",
        "wx5823bf96d3bd56c7",
        WECOM_KEY,
        "1409659589",
        "263014780",
        "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
        "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
        "",
    ),
}


@pytest.fixture(params=SAMPLES.values(), ids=list(SAMPLES))
def sample(request: pytest.FixtureRequest) -> Sample:
    assert isinstance(request.param, Sample)
    return request.param


def test_published_samples_verify_and_open(sample: Sample) -> None:
    crypt = MessageCrypt(sample.token, sample.receiver, [sample.key])
    opened = crypt.open(sample.encrypted, sample.signature, sample.timestamp, sample.nonce)
    assert sample.contains in opened.message.decode()
    assert opened.key == 0


def test_the_previous_key_opens_too_and_is_remembered(sample: Sample) -> None:
    crypt = MessageCrypt(sample.token, sample.receiver, ["Z" * 43, sample.key])
    assert crypt.open(sample.encrypted, sample.signature, sample.timestamp, sample.nonce).key == 1


def test_another_account_key_signature_or_moment_is_refused(sample: Sample) -> None:
    def attempt(
        receiver: str = sample.receiver,
        key: str = sample.key,
        signature: str = sample.signature,
        timestamp: str = sample.timestamp,
    ) -> None:
        crypt = MessageCrypt(sample.token, receiver, [key])
        crypt.open(sample.encrypted, signature, timestamp, sample.nonce)

    for change in ({"receiver": "wx0000000000000000"}, {"key": "Q" * 43}, {"signature": "0" * 40}, {"timestamp": "1"}):
        with pytest.raises(Refused):
            attempt(**change)


def test_what_we_seal_the_platform_opens(sample: Sample) -> None:
    crypt = MessageCrypt(sample.token, sample.receiver, ["Z" * 43, sample.key])
    sealed = [read_xml(crypt.seal("<xml>您好</xml>", 1, 1715943329, "n0nce").encode()) for _ in range(2)]
    nodes = sealed[0]
    assert decrypt(nodes["Encrypt"], sample.key, sample.receiver).decode() == "<xml>您好</xml>"
    assert nodes["MsgSignature"] == sign(sample.token, "1715943329", "n0nce", nodes["Encrypt"])
    assert sealed[0]["Encrypt"] != sealed[1]["Encrypt"], "the filler has to be random"


@pytest.mark.parametrize(
    ("timestamp", "nonce", "signature"),
    [
        ("1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
        ("1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
        ("1714112445", "415670741", "6c5c811b55cc85e0e1b54100749188c20beb3f5d"),
        ("1715943329", "1590219412", "cc0c594499c1634947d5b502f158ee518947db27"),
    ],
)
def test_published_url_signatures(timestamp: str, nonce: str, signature: str) -> None:
    check_signature(signature, "AAAAA", timestamp, nonce)
    with pytest.raises(Refused):
        check_signature(signature.upper(), "AAAAA", timestamp, nonce)


def test_an_empty_token_verifies_nothing() -> None:
    with pytest.raises(Refused):
        check_signature(sign("", "1714036504", "1"), "", "1714036504", "1")


def test_the_published_handshake_as_a_whole() -> None:
    query = {
        "signature": "f464b24fc39322e44b38aa78f5edd27bd1441696",
        "echostr": "4375120948345356249",
        "timestamp": "1714036504",
        "nonce": "1514711492",
    }
    wechat = connector(token="AAAAA", app_id="wxba5fad812f8e6fb9", aes_key=A43)
    at = datetime.fromtimestamp(1714036505, UTC)
    assert wechat.parse(Request("GET", query, {}, b"", at)) == Handshake("4375120948345356249")


def test_the_published_push_as_a_whole() -> None:
    encrypted = (
        "D7yzvUNAL930rd28wf21s4hvXhz0L6Uit/p2Di6C5DHyYGpEgdBRnKjBec34JwoQXicwaZC7fOVihW80F4VtsdvE//1vr7oAbqjDv8KenVp+"
        "ajKYpJnyQ4zMRhIC+a31fCVOMC03FfzV/QuC94kBP55a+Za3sJgvAn+ZbsNqZI5DkyuzkhQN8OBqCzFhizGmy0xpM0MEA4agpvE+RuNO1rhH"
        "TtuJB5yltw1FiYzecSXJ+y/D2r81VkRn2eYjh2ltsoyfbDR7Is6ookXIFxTfyeNyeHxMeT4KN5WpCDmSbTcUYrbBUlkGLJ9n/rU8YOywma6G"
        "7aTb7KZKOqCxgfoUlYEZPk4FUL/TK7ShriFDMVCLyjQJ15Ob++agDWtcxhfUfe6HIoIpRW8mKNBQiY/Jd1svvuskA1wLef1RTtzKfMpagSCX"
        "/laZINmdnX4zrF6kIaR9P4xQrWXbsTFHTYe0Mg=="
    )
    query = {
        "signature": "cc0c594499c1634947d5b502f158ee518947db27",
        "timestamp": "1715943329",
        "nonce": "1590219412",
        "openid": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY",
        "encrypt_type": "aes",
        "msg_signature": "6c12a4205838198b8fa631b3220723bb07f1015c",
    }
    body = f"<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    wechat = connector(token="AAAAA", app_id="wx134c8103faa5a59e", aes_key=A43)
    at = datetime.fromtimestamp(1715943330, UTC)
    delivery = wechat.parse(Request("POST", query, {}, body.encode(), at))
    assert isinstance(delivery, Delivery)
    assert delivery.messages == (), "debug_demo is an event that is acknowledged only"
    assert wechat.acknowledge(delivery).body == b"success"


def test_the_2024_message_is_json_inside_and_still_opens() -> None:
    sample = SAMPLES["message 2024"]
    crypt = MessageCrypt(sample.token, sample.receiver, [sample.key])
    opened = crypt.open(sample.encrypted, sample.signature, sample.timestamp, sample.nonce)
    assert json.loads(opened.message)["Event"] == "debug_demo"
    with pytest.raises(Refused) as refused:
        read_xml(opened.message)
    assert refused.value.status == 400
