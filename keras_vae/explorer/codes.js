"use strict";
// Codes as a map of coloured squares, each of which can be replaced by another code.

class CodeMap {
  constructor(section, content, changed) {
    const { counts, positions } = content;
    Object.assign(this, { content, changed, chosen: 0 });
    this.total = counts.reduce((sum, count) => sum + count, 0);
    this.order = [...counts.keys()].sort((i, j) => counts[j] - counts[i]);
    this.columns = positions.length > 1 ? positions[positions.length - 1] : 1;
    this.cells = Array.from({ length: sizeOf(positions) }, (_, i) => this.cell(i));
    const map = make("div", { className: "map", role: "group", ariaLabel: "Map of codes" });
    map.style.setProperty("--columns", this.columns);
    map.append(...this.cells);
    map.addEventListener("keydown", (event) => this.move(event));
    this.title = make("label", { htmlFor: "code" });
    this.slider = make("input", { type: "range", id: "code", min: 0, max: counts.length - 1 });
    this.slider.addEventListener("input", () => this.swap(this.order[this.slider.valueAsNumber]));
    this.use = make("p", { className: "note", id: "use" });
    const palette = { className: "palette", role: "group", ariaLabel: "Codebook, most used first" };
    this.swatches = this.order.map((code) => this.swatch(code));
    const editor = make("div", { className: "editor" }, this.title, this.slider, this.use);
    editor.append(make("div", palette, ...this.swatches));
    section.append(make("div", { className: "codes" }, map, editor));
  }

  cell(i) {
    const cell = make("button", { type: "button", tabIndex: i ? -1 : 0 });
    cell.addEventListener("click", () => this.choose(i));
    return cell;
  }

  swatch(code) {
    // The slider above does the same by keyboard.
    const swatch = make("button", { type: "button", tabIndex: -1, title: `code ${code}` });
    swatch.style.background = this.content.colours[code];
    swatch.addEventListener("click", () => this.swap(code));
    return swatch;
  }

  sync(codes) {
    this.codes = codes;
    this.cells.forEach((cell, i) => {
      cell.style.background = this.content.colours[codes[i]];
      cell.ariaLabel = `${this.place(i)}: code ${codes[i]}`;
      cell.ariaPressed = i === this.chosen;
      cell.tabIndex = i === this.chosen ? 0 : -1;
    });
    this.describe();
  }

  choose(i) {
    this.chosen = i;
    this.sync(this.codes);
    this.cells[i].focus();
  }

  swap(code) {
    const codes = this.codes.slice();
    codes[this.chosen] = code;
    this.changed(codes);
  }

  move(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns };
    const next = this.chosen + (steps[event.key] ?? NaN);
    if (!(next >= 0 && next < this.cells.length)) return;
    event.preventDefault(); // no scrolling
    this.choose(next);
  }

  describe() {
    const { counts, images } = this.content;
    const code = this.codes[this.chosen];
    const share = ((100 * counts[code]) / this.total).toFixed(2);
    const used = counts.filter((count) => count > 0).length;
    this.title.textContent = `Code ${code} at ${this.place(this.chosen)}`;
    this.slider.value = this.order.indexOf(code);
    this.use.textContent =
      `It stands at ${share} % of all positions of ${images.measured} images, ` +
      `which use ${used} of the ${counts.length} codes. Most used first:`;
    this.swatches.forEach((swatch, i) => (swatch.ariaPressed = this.order[i] === code));
  }

  place(i) {
    return `row ${Math.floor(i / this.columns) + 1}, column ${(i % this.columns) + 1}`;
  }
}
