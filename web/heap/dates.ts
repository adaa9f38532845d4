/**
 * Date texts to UTC, as `dates.py` of the server does it: the strict mode of the npm package
 * `@segment/isodate`, which ends in `Date.UTC`. https://www.npmjs.com/package/@segment/isodate
 */

const DATE =
  /^(\d{4})-(\d{2})-(\d{2})(?:([ T])(\d{2}):?(\d{2})(?::?(\d{2})(?:[,.](\d+))?)?(?:Z|([+-])(\d{2})(?::?(\d{2}))?)?)?$/;

/** A date text as `2016-01-01T08:00:00.000Z`; any other text as it is. */
export function utcDate(text: string): string {
  return converted(text, () => false);
}

/** As `utcDate`, but with a space before the time a zone is ignored, as the package does. */
export function classicUtcDate(text: string): string {
  return converted(text, (gap) => gap === " ");
}

function converted(text: string, ignoresZone: (gap: string | undefined) => boolean): string {
  const match = text[4] === "-" ? DATE.exec(text) : null;
  if (!match) return text;
  const [, year, month, day, gap, hours, minutes, seconds, decimals, sign, ...zone] = match;
  const zoneMinutes = ignoresZone(gap) ? 0 : number(zone[0]) * 60 + number(zone[1]);
  const moment = Date.UTC(
    number(year),
    (number(month) || 1) - 1,
    number(day) || 1,
    number(hours),
    number(minutes) + (sign === "-" ? zoneMinutes : -zoneMinutes),
    number(seconds),
    number(((decimals ?? "") + "000").slice(0, 3)),
  );
  return new Date(moment).toISOString();
}

function number(digits: string | undefined): number {
  return Number(digits ?? 0);
}
