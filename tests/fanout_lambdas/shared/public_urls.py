"""URLs that must pass: the normal form of some, and many as people write them."""

from __future__ import annotations

PUBLIC_URLS = {
    "http://example.com": "http://example.com/",
    "HTTPS://Example.COM/Path?q=1#frag": "https://example.com/Path?q=1",
    "https://example.com./": "https://example.com/",
    "https://example.com:443/": "https://example.com/",
    "http://example.com:8080/a": "http://example.com:8080/a",
    "https://example.com:8443": "https://example.com:8443/",
    "http://example.com:3000/": "http://example.com:3000/",
    "https://example.com?x=1": "https://example.com/?x=1",
    "https://sub_domain.example.co.uk/": "https://sub_domain.example.co.uk/",
    "https://xn--bcher-kva.example/": "https://xn--bcher-kva.example/",
    "https://bücher.example/": "https://xn--bcher-kva.example/",
    "https://straße.de/": "https://xn--strae-oqa.de/",
    "https://例え.jp/": "https://xn--r8jz45g.jp/",
    "https://президент.рф/": "https://xn--d1abbgf6aiiy.xn--p1ai/",
    "http://8.8.8.8/": "http://8.8.8.8/",
    "http://[2606:4700:4700::1111]:8080/": "http://[2606:4700:4700::1111]:8080/",
    "http://[2606:4700:4700:0:0:0:0:1111]/": "http://[2606:4700:4700::1111]/",
    "https://example.com/a%20b?c=@d:e": "https://example.com/a%20b?c=@d:e",
    "https://1password.com/": "https://1password.com/",
    "https://3.example.com/": "https://3.example.com/",
    "https://a--b.example.com/": "https://a--b.example.com/",
    "https://localhost.example.com/": "https://localhost.example.com/",
    "https://internal.example.com/": "https://internal.example.com/",
    "https://BÜCHER.Example/Straße": "https://xn--bcher-kva.example/Stra%C3%9Fe",
    "https://fa.example/می\u200cخواهم": "https://fa.example/%D9%85%DB%8C%E2%80%8C%D8%AE%D9%88%D8%A7%D9%87%D9%85",
    'https://example.com/{id}?q="a|b"': "https://example.com/%7Bid%7D?q=%22a%7Cb%22",
    "https://example.com/100%": "https://example.com/100%",
    "https://example.com/#/route?x=1": "https://example.com/",
    "https://example.com:00443/": "https://example.com/",
}

# What people really watch; at most one in twenty may be refused.
_ORDINARY = """
http://example.com https://example.com https://www.example.com/ https://example.com/index.html
https://example.co.uk/ https://shop.example.com.au/cart https://a.b.c.d.e.example.com/
https://example.io/ https://example.travel/ https://example.museum/x https://x.ai/ https://t.co/
https://g.cn/ https://1und1.de/ https://4chan.org/ https://123.de/ https://360.cn/
https://9gag.com/ https://3m.com/ https://0x.org/ https://0xdeadbeef.com/ https://127.example.com/
https://10.example.com/ https://127-0-0-1.example.com/ https://192-168-1-1.example.net/
https://ip-10-0-0-1.example.com/ https://sub_domain.example.com/ https://_dmarc.example.com/
https://my--shop.example.com/ https://xn--mnchen-3ya.de/ https://xn--80ak6aa92e.com/
https://münchen.de/ https://españa.es/ https://日本語.jp/ https://中国.中国/ https://한국.kr/
https://пример.рф/ https://παράδειγμα.ελ/ https://مثال.إختبار/ https://דוגמה.co.il/
https://उदाहरण.भारत/ https://ตัวอย่าง.ไทย/ https://fußball.de/ https://smörgås.se/ https://Ærø.dk/
https://øl.no/ https://çilek.com.tr/ https://łódź.pl/ https://čeština.cz/ https://ñandú.cl/
http://example.com:80/ https://example.com:443/ http://example.com:8080/ https://example.com:8443/
http://example.com:3000/ http://example.com:5000/ http://example.com:8000/ http://example.com:8008/
http://example.com:8081/ http://example.com:8888/ http://example.com:9000/ http://example.com:9090/
https://example.com:9443/ https://example.com:10443/ https://example.com:2083/
https://example.com:2096/ http://example.com:4200/ http://example.com:4567/
http://example.com:7001/ http://example.com:32400/web https://example.com:6443/healthz
http://example.com:65535/ http://8.8.8.8/ http://1.1.1.1:8080/ https://9.9.9.9/dns-query
http://203.0.114.1/ http://[2606:4700:4700::1111]/ https://[2001:4860:4860::8888]:8443/x
https://example.com/a/b/c/ https://example.com/a//b https://example.com/./a/../b
https://example.com/~user/ https://example.com/a;b=c/d https://example.com/a,b,c
https://example.com/@handle https://example.com/a@b.com https://example.com/a:b
https://example.com/(x)/[y]/{z} https://example.com/*.png https://example.com/a'b
https://example.com/%E2%82%AC https://example.com/€ https://example.com/日本/東京
https://example.com/100%25 https://example.com/a+b https://example.com/a|b https://example.com/$x
https://example.com? https://example.com?q https://example.com/?q=1&r=2;s=3 https://example.com/?#
https://example.com/?q=a+b%20c https://example.com/?u=http://10.0.0.1/ https://example.com/?q=[1]
https://example.com/?redirect=//evil.example/ https://example.com/?a=b=c==&d https://example.com/#top
https://example.com/#!/route https://example.com/?utm_source=a&utm_medium=b#c https://example.com/.env
https://example.com/.well-known/security.txt https://example.com/robots.txt HTTPS://EXAMPLE.COM/
https://Example.Com/Path https://example.com./ https://api.example.com/v1/health?verbose=true
https://hooks.slack.com/services/T000/B000/XXXX https://s3.eu-west-1.amazonaws.com/bucket/key
https://bucket.s3.amazonaws.com/ https://x.execute-api.eu-west-1.amazonaws.com/prod/
https://app.azurewebsites.net/ https://x-abc123-uc.a.run.app/ https://user.github.io/repo/
https://example.com:81/ https://monitor:secret@example.com/
"""
ORDINARY = [
    *_ORDINARY.split(),
    "https://example.com/?q=" + "x" * 1_900,
    "https://example.com/" + "a/" * 900,
    "https://" + ".".join(["a" * 60] * 4) + "/",
    "https://" + "a" * 63 + ".com/",
    "https://example.com/?" + "&".join(f"key{number}=value{number}" for number in range(100)),
]
REFUSED = {"https://example.com:81/", "https://monitor:secret@example.com/"}
