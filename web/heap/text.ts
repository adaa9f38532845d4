/**
 * White space as Python's `strip` knows it, which the server uses. JavaScript's `trim` counts U+FEFF
 * as well, and neither U+0085 nor the separators U+001C to U+001F.
 */

const BLANK = "(?:(?!\\ufeff)[\\s\\x1c-\\x1f\\x85])";
const AROUND = new RegExp(`^${BLANK}+|${BLANK}+$`, "g");
const NOTHING_ELSE = new RegExp(`^${BLANK}*$`);

/** The text without the white space around it. */
export function stripped(text: string): string {
  return text.replace(AROUND, "");
}

/** Whether there is nothing but white space. */
export function isBlank(text: string): boolean {
  return NOTHING_ELSE.test(text);
}
