"""What a browser would make of a page."""

from html.parser import HTMLParser

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>${{7*7}}$\\frac{a}{'


class Page(HTMLParser):
    """Collect what a browser would act on: tags, event handlers and addresses."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.active, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            external = name in {"src", "href"} and not str(value).startswith("#")
            if name.startswith("on") or external or "javascript:" in str(value).lower():
                self.active.append((tag, name, value))

    def handle_data(self, data):
        self.text += data
