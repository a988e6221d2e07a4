"""Expressions that keep computer algebra busy for seconds, for ever, or until memory runs out."""


def _determinant(size: int) -> str:
    rows = " \\\\ ".join(" & ".join(f"a_{{{i}{j}}}" for j in range(size)) for i in range(size))
    return rf"\det \begin{{pmatrix}} {rows} \end{{pmatrix}}"


HARD = {
    "power tower": "9^{9^{9}}",
    "power tower of four": "9^{9^{9^{9}}}",
    "power tower in plain text": "9**9**9**9",
    "power of a power": "(10^{10})^{10^{10}}",
    "difference of towers": "9^{9^{9}} - 9^{9^{9}} + 4",
    "tower in a fraction": r"\frac{9^{9^{9}}}{9^{9^{9}}}",
    "huge factorial": "1000000!",
    "factorial of a factorial": "(100!)!",
    "nested factorials": "((((9!)!)!)!)!",
    "ratio of factorials": r"\frac{10000000!}{9999999!}",
    "huge binomial": r"\binom{1000000}{500000}",
    "binomial of binomials": r"\binom{\binom{200}{100}}{\binom{50}{25}}",
    "long sum": r"\sum_{k=1}^{10000000} \frac{1}{k^2}",
    "long sum of powers": r"\sum_{k=1}^{100000} k^{k}",
    "long product": r"\prod_{k=1}^{1000000} k",
    "double sum": r"\sum_{i=1}^{5000} \sum_{j=1}^{5000} \frac{1}{i + j}",
    "expansion": "(x+y+z+1)^{200}",
    "difference of expansions": "(x+y+z+1)^{60} - (x+y+z+2)^{60}",
    "symbolic power": "(x+1)^{100000} - (x-1)^{100000}",
    "symbolic determinant": _determinant(25),
    "big matrix": r"\begin{pmatrix} " + r" \\ ".join(" & ".join(["x"] * 40) for _ in range(40)) + r" \end{pmatrix}",
    "matrix power": r"\begin{pmatrix} x & y \\ z & w \end{pmatrix}^{500}",
    "large set": r"\{" + ", ".join(f"x+{i}" for i in range(3000)) + r"\}",
    "large list of roots": ", ".join(rf"\sqrt{{{i}}}" for i in range(2, 1500)),
    "deep parentheses": "(" * 2000 + "x" + ")" * 2000,
    "deep braces": "{" * 3000 + "4" + "}" * 3000,
    "deep roots": r"\sqrt{2+" * 300 + "x" + "}" * 300,
    "deep fractions": r"\frac{1}{1+" * 300 + "x" + "}" * 300,
    "unclosed mathematics": r"\(" * 20000,
    "unclosed braces": "{" * 20000,
    "long digits": "1" * 100000,
    "long polynomial": " + ".join(f"x^{{{i}}}" for i in range(2000)),
    "integral": r"\int_0^{1} e^{-x^{2}} \sin(x^{3}) \ln(1+x^{4}) dx",
    "limit": r"\lim_{n \to \infty} \left(1 + \frac{1}{n}\right)^{n^{n}}",
    "trigonometric tower": r"\sin(\cos(\tan(10^{10^{10}})))",
    "iterated exponentials": "e^{e^{e^{e^{e}}}}",
    "gcd of giants": r"\gcd(9^{9^{8}}, 3^{3^{17}})",
    "equation of high degree": "x^{97} + 3x^{41} - 7x^{13} + y = 1",
    "many absolute values": " + ".join(f"|x - {i}|" for i in range(300)),
    "nested logarithms": r"\log(\log(\log(\log(10^{10^{10^{10}}}))))",
}
