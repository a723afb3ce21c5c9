"""The made-up shops of the demonstration town: names, trades, prices. None of them exists."""

from typing import Final

import msgspec

MARKET_NAME: Final = "두레시장"
MARKET_GROUP: Final = "traditional_market"
DONATION_GROUP: Final = "donation"
CHARITY_NAME: Final = "두레나눔회"


class Trade(msgspec.Struct, frozen=True, gc=False):
    """A kind of shop: its category, its usual ticket in won, how often people go there (weight)."""

    category: str
    ticket: int
    weight: int
    pin: bool = True  # whether its terminals ask for the PIN


RESTAURANT: Final = Trade("restaurant", 15_600, 11)
CAFE: Final = Trade("cafe", 6_400, 10, pin=False)
BAKERY: Final = Trade("bakery", 9_200, 6, pin=False)
GROCER: Final = Trade("grocery", 24_800, 9)
MARKET_STALL: Final = Trade("market", 15_200, 7)
PHARMACY: Final = Trade("pharmacy", 10_800, 6)
BOOKSHOP: Final = Trade("bookshop", 19_500, 3)
ACADEMY: Final = Trade("academy", 148_000, 1)
SALON: Final = Trade("hairdresser", 26_500, 3)
CLINIC: Final = Trade("clinic", 17_300, 5)
LAUNDRY: Final = Trade("laundry", 13_900, 3)
CONVENIENCE: Final = Trade("convenience", 7_200, 5, pin=False)
CHARITY: Final = Trade("charity", 0, 0, pin=False)  # nobody buys there
STATIONER: Final = Trade("stationery", 8_700, 3)

SHOPS: Final[tuple[tuple[str, Trade], ...]] = (
    ("달빛식당", RESTAURANT),
    ("솔내 손칼국수", RESTAURANT),
    ("한마음 김밥", RESTAURANT),
    ("갈마골 순두부", RESTAURANT),
    ("둔지미 국밥", RESTAURANT),
    ("월평 돌솥밥", RESTAURANT),
    ("도마 짬뽕", RESTAURANT),
    ("나루 생선구이", RESTAURANT),
    ("느티나무 백반", RESTAURANT),
    ("들꽃 비빔밥", RESTAURANT),
    ("카페 여울", CAFE),
    ("커피 한모금", CAFE),
    ("물빛다방", CAFE),
    ("카페 소담", CAFE),
    ("느린오후 커피", CAFE),
    ("보리수 찻집", CAFE),
    ("구름빵집", BAKERY),
    ("아침햇살 제과", BAKERY),
    ("밀밭베이커리", BAKERY),
    ("정다운 슈퍼", GROCER),
    ("우리동네 식자재", GROCER),
    ("푸른들 농산물", GROCER),
    ("행복정육점", GROCER),
    ("두레약국", PHARMACY),
    ("새봄약국", PHARMACY),
    ("가람약국", PHARMACY),
    ("책방 모퉁이", BOOKSHOP),
    ("느림보서점", BOOKSHOP),
    ("푸른꿈 수학학원", ACADEMY),
    ("소리샘 피아노", ACADEMY),
    ("한빛 영어교습소", ACADEMY),
    ("가위소리 미용실", SALON),
    ("단정한 이발소", SALON),
    ("참편한 내과의원", CLINIC),
    ("맑은숨 이비인후과", CLINIC),
    ("하얀이 치과의원", CLINIC),
    ("새하얀 세탁소", LAUNDRY),
    ("뽀송 빨래방", LAUNDRY),
    ("알록달록 문구", STATIONER),
    ("몽당연필 문방구", STATIONER),
    ("밤샘 편의점", CONVENIENCE),
    ("별빛 편의점", CONVENIENCE),
)

STALLS: Final = (
    "순이네 반찬",
    "바다수산",
    "황소 정육",
    "햇살 과일",
    "할매 떡집",
    "참기름집 고소미",
    "만석 건어물",
    "두부마을",
    "옛날 통닭",
    "시골 나물",
    "복이네 족발",
    "김장독 젓갈",
    "손두루 만두",
    "꽃분이 이불",
    "장터 국수",
)

MARKET_SHOPS: Final[tuple[tuple[str, Trade], ...]] = tuple((name, MARKET_STALL) for name in STALLS)


class Barred(msgspec.Struct, frozen=True, gc=False):
    """A shop where the money may not be spent, and the fact that bars it."""

    name: str
    category: str
    size: str = "small"
    channel: str = "pos"
    annual_sales: int = 900_000_000


BARRED: Final = (
    Barred("큰나래 백화점", "department_store", size="large", annual_sales=410_000_000_000),
    Barred("가까운나래 익스프레스", "supermarket", size="ssm", annual_sales=6_400_000_000),
    Barred("네온 나이트", "nightlife"),
    Barred("빠른손 쇼핑몰", "shopping", channel="online", annual_sales=2_100_000_000),
)

BANK_CODES: Final = ("004", "011", "020", "081", "088", "090")
