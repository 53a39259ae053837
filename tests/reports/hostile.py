"""Texts that try to run, load, link or break out, each for another wall."""

XSS = (
    "<script>window.__pwned=1</script>",
    "</script><script>window.__pwned=1</script>",
    "</style><script>window.__pwned=1</script>",
    "</title><script>window.__pwned=1</script>",
    "<img src=x onerror=window.__pwned=1>",
    "<img src=http://127.0.0.1:9/beacon.png>",
    '"><svg onload=window.__pwned=1>',
    "' onmouseover='window.__pwned=1",
    "<iframe src=javascript:window.__pwned=1></iframe>",
    "<a href='javascript:window.__pwned=1'>click</a>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "<link rel=stylesheet href=http://127.0.0.1:9/x.css>",
    "<base href=http://127.0.0.1:9/>",
    "<form action=http://127.0.0.1:9/><input autofocus onfocus=window.__pwned=1>",
    "<details open ontoggle=window.__pwned=1>",
    "<style>*{background:url(http://127.0.0.1:9/)}</style>",
    "{{ 7*7 }}{% for x in () %}",
    "<!--<script>-->",
    "]]><script>window.__pwned=1</script>",
    "\u202eevil\u2066\x00\x1b[31m\ud800",
    "`; window.__pwned=1; `",
    "&lt;script&gt;",
)

FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    '=HYPERLINK("http://127.0.0.1:9","x")',
)

MARKDOWN = (
    "@everyone", "@org/team please", "[click](http://127.0.0.1:9)", "![x](http://127.0.0.1:9/x.png)", "<b>bold</b>",
    "`code`", "```\nblock\n```", "| cell | cell |", "# heading", "*bold* _it_ ~~no~~", "https://127.0.0.1:9", "#123",
    "www.example.org", "a@example.org", "$x$", "<!-- comment", "\u202ertl",
)  # fmt: skip
