(() => {
  const complaints = [];
  const say = (what) => { if (complaints.length < 30) complaints.push(what); };
  const said = (element) => (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 60);
  const scrolling = document.scrollingElement;
  const width = () => document.documentElement.clientWidth;
  const tooWide = (when) => {
    if (scrolling.scrollWidth <= Math.min(innerWidth, width())) return;
    const beyond = [...document.body.querySelectorAll("*")].filter(
      (one) => one.getBoundingClientRect().right > width() + 1 && !one.parentElement.closest(".scroll"));
    say(`${scrolling.scrollWidth} px wide on ${width()} px ${when}: ` + beyond.slice(0, 3).map(
      (one) => `<${one.tagName.toLowerCase()} class="${one.getAttribute("class") || ""}"> ${said(one)}`).join("; "));
  };
  tooWide("as it opens");
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  tooWide("with all of it open");

  // Links and ids.
  const ids = new Set();
  document.querySelectorAll("[id]").forEach((one) => {
    if (ids.has(one.id)) say(`the id ${one.id} is there twice`);
    ids.add(one.id);
  });
  document.querySelectorAll("[href], [src], [srcset], [data], [action], [poster]").forEach((one) => {
    for (const name of ["href", "src", "srcset", "data", "action", "poster"]) {
      const to = one.getAttribute(name);
      if (to === null) continue;
      if (!to.startsWith("#")) say(`${name}="${to}" leads away`);
      else if (!ids.has(to.slice(1))) say(`${name}="${to}" leads nowhere`);
    }
  });
  if (document.querySelectorAll("script").length > 0) say("there is a script");

  // Colours.
  const parse = (text) => {
    const numbers = (text.match(/[\d.]+/g) || []).map(Number);
    return text.startsWith("rgb") ? [numbers[0], numbers[1], numbers[2], numbers.length > 3 ? numbers[3] : 1] : null;
  };
  const over = (top, below) => [0, 1, 2].map((n) => top[n] * top[3] + below[n] * (1 - top[3])).concat([1]);
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour && colour[3] > 0) layers.push(colour);
      if (colour && colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const stands = (element, colour, background) => {
    const found = contrast(over(colour, background), background);
    if (found < 4.5) say(`contrast of ${found.toFixed(2)} of "${said(element)}" (${element.getAttribute("class") || element.tagName})`);
  };

  // Text in HTML: contrast, and within its column unless that scrolls.
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || parent.closest("svg")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width === 0) continue;
    texts += 1;
    const style = getComputedStyle(parent);
    stands(parent, parse(style.color), behind(parent));
    const column = parent.closest(".card, main, footer");
    if (column && !parent.closest(".scroll") && box.right > column.getBoundingClientRect().right + 1) {
      say(`"${said(parent)}" leaves its column`);
    }
    for (let one = parent; one && one !== document.body; one = one.parentElement) {
      const how = getComputedStyle(one).overflowX;
      if (how === "visible") continue;
      if (how !== "auto" && how !== "scroll" && one.scrollWidth > one.clientWidth + 1) say(`"${said(one)}" is cut off`);
      break;
    }
  }
  if (texts === 0) say("there is no text");

  // Text in drawings.
  document.querySelectorAll("svg").forEach((svg) => {
    const frame = svg.getBoundingClientRect();
    const all = [...svg.querySelectorAll("text")].filter((one) => said(one)).map((one) => [one, one.getBoundingClientRect()]);
    const boxes = [...svg.querySelectorAll("rect")].map((one) => [one, one.getBoundingClientRect(), parse(getComputedStyle(one).fill)]);
    const ground = behind(svg);
    all.forEach(([text, box], n) => {
      if (box.width === 0) return;
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1) {
        say(`"${said(text)}" is cut off by its drawing`);
      }
      if (box.height < 8) say(`"${said(text)}" is ${box.height.toFixed(1)} px high`);
      all.slice(n + 1).forEach(([other, its]) => {
        const across = Math.min(box.right, its.right) - Math.max(box.left, its.left);
        const down = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
        if (across > 1 && down > 1) say(`"${said(text)}" and "${said(other)}" cover each other`);
      });
      let background = ground;
      const middle = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
      boxes.forEach(([rect, its, fill]) => {
        if (!(rect.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING)) return;
        const within = (x) => x >= its.left && x <= its.right && middle[1] >= its.top && middle[1] <= its.bottom;
        if (fill && within(middle[0])) background = over(fill, background);
        if (rect.matches(".chip, .tier, .zone") && within(box.left + 1) && box.right > its.right) {
          say(`"${said(text)}" leaves its box`);
        }
      });
      stands(text, parse(getComputedStyle(text).fill), background);
    });
  });
  return complaints;
})()
