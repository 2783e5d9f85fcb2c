"""A visit to the dashboard: what the page shows, and what the browser said and fetched meanwhile."""

from __future__ import annotations

from playwright.sync_api import Browser, ConsoleMessage, Page, expect

PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


class Visit:
    """The page of a site after a login, in a browser context of its own."""

    def __init__(
        self, browser: Browser, url: str, token: str, *, dark: bool = False, width: int = 1280
    ) -> None:
        self.url = url
        self.trouble: list[str] = []
        self.addresses: list[str] = []
        context = browser.new_context(
            locale="en-US",
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            viewport={"width": width, "height": 720},
        )
        context.set_default_timeout(PATIENCE_MS)
        self.page: Page = context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self._log_in(token)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.trouble.append(message.text)

    def _log_in(self, token: str) -> None:
        self.page.goto(f"{self.url}/")
        self.page.get_by_label("Token").fill(token)
        self.page.keyboard.press("Enter")
        expect(self.page.locator("#link")).to_contain_text("live")
        expect(self.page.locator("#chart-text")).not_to_be_empty()

    def end(self) -> None:
        """Close it. Nothing went wrong, and nobody but the site was asked for anything."""
        self.page.context.close()
        strangers = [a for a in self.addresses if not a.startswith((f"{self.url}/", "data:", "blob:"))]
        assert (self.trouble, strangers) == ([], [])
