// The one stream of events of a page: opened again when it ends, closed while nobody looks.
const QUIET_MS = 15_000; // the server says something at least every 10 s
const RETRY_MS = 2_000;

/** Follow `url`. `onNews(message)` for each change, `onLink(text)` with what is wrong, "" when all is well. */
export function follow(url, { onNews, onLink }) {
  let source = null;
  let heardMs = Date.now();

  const heard = () => {
    heardMs = Date.now();
    onLink("");
  };

  const close = () => {
    source?.close();
    source = null;
  };

  const open = () => {
    close();
    heardMs = Date.now();
    source = new EventSource(url);
    source.addEventListener("news", (event) => {
      heard();
      onNews(JSON.parse(event.data));
    });
    source.addEventListener("ping", heard);
    source.addEventListener("trouble", (event) => {
      heardMs = Date.now();
      onLink(JSON.parse(event.data).text);
    });
    source.addEventListener("error", () => {
      onLink("disconnected");
      if (source?.readyState === EventSource.CLOSED) setTimeout(again, RETRY_MS);
    });
  };

  const again = async () => {
    const answer = await fetch("/chart.json", { cache: "no-store" }).catch(() => null);
    if (answer?.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
    else if (!document.hidden) open();
  };

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  setInterval(() => {
    if (source && Date.now() - heardMs > QUIET_MS) {
      onLink("disconnected");
      open();
    }
  }, RETRY_MS);
  if (!document.hidden) open();
}
