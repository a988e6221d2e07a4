import random
import time

import pytest

from tests.benchmarks.language import TEXTS, measure, read_texts
from trl_r1.language import LANGUAGES, detect, is_mixed, normalize_language, share, tag_words, word_counts


SENTENCES = {
    "en": "We first divide the cake into twelve equal pieces and give half of them away.",
    "fr": "On partage d'abord le gâteau en douze parts égales, puis on en donne la moitié.",
    "de": "Zuerst teilen wir den Kuchen in zwölf gleiche Stücke und verschenken die Hälfte.",
    "es": "Primero repartimos el pastel en doce trozos iguales y regalamos la mitad.",
    "pt": "Primeiro dividimos o bolo em doze pedaços iguais e damos metade deles.",
    "it": "Prima dividiamo la torta in dodici fette uguali e ne regaliamo la metà.",
    "vi": "Trước tiên ta chia chiếc bánh thành mười hai phần bằng nhau rồi cho đi một nửa.",
    "nl": "Eerst verdelen we de taart in twaalf gelijke stukken en geven we de helft weg.",
    "pl": "Najpierw dzielimy tort na dwanaście równych kawałków i oddajemy połowę z nich.",
    "tr": "Önce pastayı on iki eşit parçaya böleriz ve yarısını veririz.",
    "id": "Pertama kita bagi kue itu menjadi dua belas potong yang sama lalu berikan separuhnya.",
    "sv": "Först delar vi tårtan i tolv lika stora bitar och ger bort hälften av dem.",
    "ru": "Сначала разделим торт на двенадцать равных частей и отдадим половину.",
    "uk": "Спершу поділимо торт на дванадцять рівних частин і віддамо половину.",
    "bg": "Първо разделяме тортата на дванадесет равни части и подаряваме половината.",
    "ar": "أولاً نقسم الكعكة إلى اثنتي عشرة قطعة متساوية ثم نعطي نصفها.",
    "fa": "ابتدا کیک را به دوازده قسمت مساوی تقسیم می‌کنیم و نیمی از آن را می‌دهیم.",
    "ur": "پہلے ہم کیک کو بارہ برابر ٹکڑوں میں کاٹتے ہیں اور آدھے بانٹ دیتے ہیں۔",
    "hi": "पहले हम केक को बारह बराबर टुकड़ों में बाँटते हैं और आधे दे देते हैं।",
    "ko": "먼저 케이크를 똑같이 열두 조각으로 나누고 절반을 나누어 준다.",
    "zh": "我们先把蛋糕平均分成十二块，然后送出去一半。",
    "ja": "まずケーキを十二個に等しく分けて、その半分をあげます。",
    "el": "Πρώτα μοιράζουμε την τούρτα σε δώδεκα ίσα κομμάτια.",
    "he": "קודם נחלק את העוגה לשתים עשרה פרוסות שוות.",
    "th": "ก่อนอื่นเราแบ่งเค้กออกเป็นสิบสองชิ้นเท่าๆ กัน",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_every_word_of_a_sentence_is_of_its_language(language):
    counts = word_counts(SENTENCES[language])
    assert set(counts) == {language}
    assert counts[language] >= 6
    assert detect(SENTENCES[language]) == language
    assert share(SENTENCES[language], language) == 1.0
    assert not is_mixed(SENTENCES[language])
    assert language in LANGUAGES


def test_two_languages_in_turn_are_told_apart_whichever_they_are():
    generator = random.Random(0)
    for _ in range(60):
        first, second = generator.sample(sorted(SENTENCES), 2)
        text = f"{SENTENCES[first]} {SENTENCES[second]}\n{SENTENCES[first]}"
        expected = {first: 2 * len(tag_words(SENTENCES[first])), second: len(tag_words(SENTENCES[second]))}
        assert word_counts(text) == expected, (first, second)
        assert is_mixed(text)


def test_the_labelled_texts_are_told_apart_as_the_project_demands():
    figures = measure(read_texts(TEXTS / "language.txt"))
    assert figures["words"] > 3000
    assert figures["word accuracy"] >= 0.985
    assert figures["mean error of the share"] <= 0.015


def test_a_phrase_within_a_sentence_is_found():
    words = tag_words("Wir setzen den Wert ein, so that means the result must be even, und sind fertig.")
    assert [language for _, language in words] == ["de"] * 5 + ["en"] * 8 + ["de"] * 3


def test_a_loan_word_belongs_to_its_sentence():
    assert word_counts("Das Team hat am Montag ein Meeting im Restaurant.") == {"de": 9}
    assert word_counts("El software y el hardware del equipo") == {"es": 7}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("pehle hum dono sankhyaon ko jodte hain, phir do se bhaag dete hain", "hi"),
        ("wo men xian ba liang ge shu jia qi lai, ran hou chu yi er", "zh"),
        ("mazu saisho no futatsu no kazu o tashimasu. tsugi ni ni de warimasu", "ja"),
        ("snachala slozhim dva chisla, potom razdelim na tri", "ru"),
        ("spochatku dodamo dva chysla, potim podilymo na try", "uk"),
        ("meonjeo du sureul deohamyeon yeolilgop ida", "ko"),
        ("awwalan najma al adadayn thumma naqsim al natija ala ithnayn", "ar"),
    ],
)
def test_a_language_written_in_latin_letters_is_still_itself_and_not_english(text, language):
    assert share(text, "en") <= 0.1
    assert share(text, language) >= 0.8


def test_words_of_no_known_language_are_words_of_none():
    text = "Aluksi laskemme luvut yhteen ja sitten jaamme tuloksen kolmella"
    assert word_counts(text) == {"und": 9}
    assert share(text, "en") == 0.0
    assert detect(text) is None
    assert not is_mixed(text)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("Alice有5个苹果，Bob给了她3个。", {"zh": 8}),
        ("在三角形ABC中，AB=5cm，求AC。", {"zh": 6}),
        ("Пусть x = 5, тогда Python выдаёт ошибку IndexError.", {"ru": 4}),
        ("设 dp 为数组，xy 为积。", {"zh": 6}),
        ("Wait, 我算错了。", {"en": 1, "zh": 4}),
        ("Wait, let me check. 我算错了。", {"en": 4, "zh": 4}),
        ("THE ANSWER IS TEN 答案是十", {"en": 4, "zh": 4}),
        ("Let s be the side, and b = 5. Point A is, I think, fine.", {"en": 10}),
        ("El lado a mide 5 y el lado b mide 7, o sea menos.", {"es": 11}),
        ("من المعادلة س + ص = 10 نجد أن س = 4", {"ar": 4}),
        ("Δx → 0, α + β = π", {}),
        ("12 + 7 = 19", {}),
        ("", {}),
        ("I", {"en": 1}),
    ],
)
def test_names_and_symbols_are_no_words(text, counts):
    assert word_counts(text) == counts


def test_chinese_and_japanese_are_counted_by_character():
    assert tag_words("加起来，OK") == [("加", "zh"), ("起", "zh"), ("来", "zh")]
    assert word_counts("りんごを買う") == {"ja": 6}
    assert word_counts("コーヒー") == {"ja": 2}


def test_han_is_japanese_where_kana_or_its_own_characters_say_so():
    assert word_counts("東京大学") == {"ja": 4}
    assert word_counts("図を見る。計算結果。") == {"ja": 8}
    assert word_counts("计算结果。") == word_counts("計算結果。") == {"zh": 4}
    assert word_counts("首先计算总数。次に割り算をします。") == {"zh": 6, "ja": 9}
    assert word_counts("這個結果好像不對，我們再檢查一遍。") == {"zh": 15}


def test_a_choice_of_languages_narrows_each_script_by_itself():
    text = "Primero sumamos, 然后相减, потом делим"
    assert word_counts(text) == {"zh": 4, "es": 2, "ru": 2}
    assert word_counts(text, ("en", "zh")) == {"zh": 4, "en": 2, "ru": 2}
    assert word_counts(text, ("fr", "es", "uk")) == {"zh": 4, "es": 2, "uk": 2}
    assert detect("no", ("es", "en")) in ("es", "en")


def test_a_share_is_of_all_words_and_none_without_any():
    text = "first 先 add 加"
    assert share(text, "en") == share(text, "zh") == share(text, "zh-CN") == 0.5
    assert share(text, "fr") == 0.0
    assert share("$x$ = 5", "en") is None
    assert normalize_language(" ZH_hans ") == "zh"


def test_a_text_is_mixed_from_the_stated_share_on():
    assert is_mixed("一" * 9 + " word")
    assert not is_mixed("一" * 10 + " word")
    assert is_mixed("一" * 10 + " word", minimum=0.05)
    assert not is_mixed("")


def test_forms_of_characters_do_not_matter():
    import unicodedata

    text = SENTENCES["vi"]
    assert word_counts(unicodedata.normalize("NFD", text)) == word_counts(text)
    assert word_counts("ｗｅ　ｆｉｒｓｔ　ｄｉｖｉｄｅ　ｔｈｅ　ｃａｋｅ") == {"en": 5}
    assert word_counts(SENTENCES["en"].upper()) == word_counts(SENTENCES["en"])


@pytest.mark.parametrize(
    "word", ["ang" * 9 + "q", "th" * 13 + "q", "na" * 5000, "x" * 100_000, "ka'" * 3000, "éa" * 9000]
)
def test_long_words_cost_no_more_than_their_length(word):
    start = time.process_time()
    tag_words(f"{word} zblorp fnarg {word}z qwrt")
    assert time.process_time() - start < 5  # seconds


def test_letters_struck_at_random_are_no_words_even_without_word_lists():
    assert share("Xqzt vrrpk wqxz jjkrt zzpfl qwrtx vbnmk", "en", ("en", "zh")) == 0.0
    assert share("Hmmm, my rhythm: try gcd and lcm", "en", ("en", "zh")) == 1.0
