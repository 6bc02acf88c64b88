/** Conditions on the columns: the simple part of what `--where` takes (SQL of DuckDB), compiled to functions. */

import { data } from "./content.js";
import { images, valueIn } from "./rows.js";

/** @typedef {import("./rows.js").Rows} Rows */
/** @typedef {number | string | boolean | null} Value */
/** @typedef {(rows: Rows, i: number) => Value} Term */

const TOKEN =
  /\s*(?:(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|'((?:[^']|'')*)'|"((?:[^"]|"")*)"|([a-z_]\w*)|(<=|>=|<>|!=|==|[-+*/%()=<>,]))/iy;
/** @type {Record<string, (...given: number[]) => number>} */
const FUNCTIONS = {
  abs: Math.abs,
  sqrt: Math.sqrt,
  ln: Math.log,
  log10: Math.log10,
  log2: Math.log2,
  least: Math.min,
  greatest: Math.max,
};
const PLACES = ["image", "x", "y", "size"];

/** What is said of a condition that this page cannot read. */
export class Unreadable extends Error {}

/**
 * @param {string} text
 * @returns {(rows: Rows, i: number) => boolean} throws Unreadable
 */
export function condition(text) {
  const parser = new Parser(text);
  const term = parser.either();
  parser.end();
  return (rows, i) => term(rows, i) === true;
}

class Parser {
  /** @param {string} text */
  constructor(text) {
    /** @type {Array<{kind: "number" | "text" | "name" | "word" | "sign", is: string}>} */
    this.tokens = [];
    this.at = 0;
    TOKEN.lastIndex = 0;
    let end = 0;
    while (text.slice(end).trim()) {
      TOKEN.lastIndex = end;
      const found = TOKEN.exec(text);
      if (!found) throw new Unreadable(`${text.slice(end).trim()[0]} is not understood here`);
      end = TOKEN.lastIndex;
      const [, number, string, quoted, word, sign] = found;
      if (number !== undefined) this.tokens.push({ kind: "number", is: number });
      else if (string !== undefined) this.tokens.push({ kind: "text", is: string.replaceAll("''", "'") });
      else if (quoted !== undefined) this.tokens.push({ kind: "name", is: quoted.replaceAll('""', '"') });
      else if (word !== undefined) this.tokens.push({ kind: "word", is: word });
      else this.tokens.push({ kind: "sign", is: sign });
    }
  }

  /** Takes the next token if it is one of these. @param {...string} wanted */
  take(...wanted) {
    const token = this.tokens[this.at];
    const is = token?.is.toLowerCase();
    if (!token || (token.kind !== "word" && token.kind !== "sign") || !wanted.includes(is)) return "";
    this.at++;
    return is;
  }

  /** @param {string} wanted */
  need(wanted) {
    if (!this.take(wanted)) throw new Unreadable(`expected ${wanted} ${this.where()}`);
  }

  where() {
    const token = this.tokens[this.at];
    return token ? `before ${token.is}` : "at the end";
  }

  end() {
    if (this.at < this.tokens.length) throw new Unreadable(`${this.tokens[this.at].is} is not understood here`);
  }

  /** @returns {Term} */
  either() {
    let left = this.both();
    while (this.take("or")) {
      const [a, b] = [left, this.both()];
      left = (rows, i) => {
        const [p, q] = [truth(a(rows, i)), truth(b(rows, i))];
        return p || q ? true : p === null || q === null ? null : false;
      };
    }
    return left;
  }

  /** @returns {Term} */
  both() {
    let left = this.not();
    while (this.take("and")) {
      const [a, b] = [left, this.not()];
      left = (rows, i) => {
        const [p, q] = [truth(a(rows, i)), truth(b(rows, i))];
        return p === false || q === false ? false : p === null || q === null ? null : true;
      };
    }
    return left;
  }

  /** @returns {Term} */
  not() {
    if (!this.take("not")) return this.comparison();
    const term = this.not();
    return (rows, i) => {
      const value = truth(term(rows, i));
      return value === null ? null : !value;
    };
  }

  /** @returns {Term} */
  comparison() {
    const left = this.sum();
    const sign = this.take("=", "==", "!=", "<>", "<", "<=", ">", ">=");
    if (sign) return compared(sign, left, this.sum());
    if (this.take("is")) {
      const not = Boolean(this.take("not"));
      const what = this.take("null", "true", "false");
      if (!what) throw new Unreadable(`expected null, true or false ${this.where()}`);
      const wanted = what === "null" ? null : what === "true";
      return (rows, i) => (left(rows, i) === wanted) !== not;
    }
    const not = Boolean(this.take("not"));
    /** @type {Term} */
    let test;
    if (this.take("between")) {
      const low = this.sum();
      this.need("and");
      const [a, b] = [compared(">=", left, low), compared("<=", left, this.sum())];
      test = (rows, i) => {
        const [p, q] = [a(rows, i), b(rows, i)];
        return p === false || q === false ? false : p === null || q === null ? null : true;
      };
    } else if (this.take("in")) {
      this.need("(");
      const several = [compared("=", left, this.sum())];
      while (this.take(",")) several.push(compared("=", left, this.sum()));
      this.need(")");
      test = (rows, i) => {
        const found = several.map((one) => one(rows, i));
        return found.includes(true) ? true : found.includes(null) ? null : false;
      };
    } else {
      const kind = this.take("like", "ilike");
      if (!kind) {
        if (not) throw new Unreadable(`expected between, in or like ${this.where()}`);
        return left;
      }
      const token = this.tokens[this.at++];
      if (token?.kind !== "text") throw new Unreadable("expected a text in '…' after like");
      const escaped = token.is
        .replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
        .replaceAll("%", "[^]*")
        .replaceAll("_", "[^]");
      const pattern = new RegExp(`^${escaped}$`, kind === "ilike" ? "iu" : "u");
      test = (rows, i) => {
        const value = left(rows, i);
        return value === null ? null : pattern.test(String(value));
      };
    }
    if (!not) return test;
    return (rows, i) => {
      const value = test(rows, i);
      return value === null ? null : !value;
    };
  }

  /** @returns {Term} */
  sum() {
    let left = this.product();
    for (let sign = this.take("+", "-"); sign; sign = this.take("+", "-")) {
      left = reckoned(sign === "+" ? (a, b) => a + b : (a, b) => a - b, left, this.product());
    }
    return left;
  }

  /** @returns {Term} */
  product() {
    let left = this.factor();
    for (let sign = this.take("*", "/", "%"); sign; sign = this.take("*", "/", "%")) {
      const act = { "*": multiply, "/": divide, "%": remainder }[sign];
      left = reckoned(/** @type {(a: number, b: number) => number} */ (act), left, this.factor());
    }
    return left;
  }

  /** @returns {Term} */
  factor() {
    if (this.take("-")) return reckoned((a) => -a, this.factor());
    if (this.take("+")) return this.factor();
    if (this.take("(")) {
      const inside = this.either();
      this.need(")");
      return inside;
    }
    const token = this.tokens[this.at++];
    if (!token || token.kind === "sign")
      throw new Unreadable(`expected a column or a number ${token ? `instead of ${token.is}` : "at the end"}`);
    if (token.kind === "number") {
      const value = Number(token.is);
      return () => value;
    }
    if (token.kind === "text") return () => token.is;
    const name = token.is.toLowerCase();
    if (token.kind === "word" && (name === "true" || name === "false" || name === "null")) {
      const value = name === "null" ? null : name === "true";
      return () => value;
    }
    if (token.kind === "word" && this.take("(")) return this.call(name);
    return column(token.is);
  }

  /** @param {string} name @returns {Term} */
  call(name) {
    const given = [this.sum()];
    while (this.take(",")) given.push(this.sum());
    this.need(")");
    if (name === "coalesce") {
      return (rows, i) => {
        for (const term of given) {
          const value = term(rows, i);
          if (value !== null) return value;
        }
        return null;
      };
    }
    const act = FUNCTIONS[name];
    if (!act) throw new Unreadable(`${name}() is not understood here`);
    return reckoned(act, ...given);
  }
}

/** @param {number} a @param {number} b */
const multiply = (a, b) => a * b;
/** @param {number} a @param {number} b */
const divide = (a, b) => a / b;
/** @param {number} a @param {number} b */
const remainder = (a, b) => a % b;

/** @param {Value} value @returns {boolean | null} */
function truth(value) {
  return value === null ? null : Boolean(value);
}

/** Compares as the columns hold numbers, in 32 bits. @param {string} sign @param {Term} a @param {Term} b @returns {Term} */
function compared(sign, a, b) {
  return (rows, i) => {
    let [p, q] = [a(rows, i), b(rows, i)];
    if (p === null || q === null) return null;
    if (typeof p !== "string" && typeof q !== "string") [p, q] = [Math.fround(Number(p)), Math.fround(Number(q))];
    if (sign === "=" || sign === "==") return p === q;
    if (sign === "!=" || sign === "<>") return p !== q;
    if (sign === "<") return p < q;
    if (sign === "<=") return p <= q;
    return sign === ">" ? p > q : p >= q;
  };
}

/** @param {(...given: number[]) => number} act @param {...Term} terms @returns {Term} */
function reckoned(act, ...terms) {
  return (rows, i) => {
    const given = terms.map((term) => term(rows, i));
    if (given.includes(null)) return null;
    const value = act(...given.map(Number));
    return Number.isFinite(value) ? value : null;
  };
}

/** @param {string} name @returns {Term} */
function column(name) {
  const known = [...PLACES, ...Object.keys(data.columns)];
  const found = known.find((one) => one.toLowerCase() === name.toLowerCase());
  if (!found) throw new Unreadable(`there is no column ${name}; the columns are ${known.join(", ")}`);
  if (found === "image") return (rows, i) => images[rows.image[i]];
  if (found === "size") return (rows, i) => rows.size(i);
  if (found === "x" || found === "y") return (rows, i) => rows[found][i];
  return (rows, i) => valueIn(rows, found, i);
}
