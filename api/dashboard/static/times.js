// Times in the zone of who reads them, or in UTC if they prefer.
const KEY = "barq-zone";
const DAY = { day: "numeric", month: "short" };
const FORMS = {
  short: { hour: "2-digit", minute: "2-digit" },
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
};

/** The name of the reader's zone. */
export function localZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
}

/** Whether times are told in UTC. */
export function isUtc() {
  return localStorage.getItem(KEY) === "UTC" || localZone() === "UTC";
}

export function setUtc(wanted) {
  localStorage.setItem(KEY, wanted ? "UTC" : "local");
}

/** Milliseconds to add to an instant so that its UTC reads as the chosen zone's time. */
export function shiftMs(ms) {
  return isUtc() ? 0 : -60_000 * new Date(ms).getTimezoneOffset();
}

/** An instant as people read it; with its day unless that is today. */
export function said(at, form = "clock") {
  const zone = isUtc() ? { timeZone: "UTC" } : {};
  const day = (date) => date.toLocaleDateString("en-CA", zone);
  const parts = { ...FORMS[form], ...(day(at) === day(new Date()) ? {} : DAY), ...zone, hourCycle: "h23" };
  return at.toLocaleString("en-GB", parts);
}

/** Write each time below `root` in the chosen zone. */
export function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    const text = said(at, time.dataset.form);
    if (time.textContent !== text) time.textContent = text;
    time.title = at.toISOString();
  }
}
