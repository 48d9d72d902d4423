/* What tests/web.sh adds to the page: uses it by its buttons and keys and writes what it saw to the body's data-result. */
(async () => {
  const seen = [], say = (what, ok) => seen.push((ok ? "ok " : "FAILED ") + what);
  const wait = ms => new Promise(r => setTimeout(r, ms));
  const ended = async () => { for (let i = 0; i < 2000 && !$("verdict").className; i++) await wait(50); };
  const key = k => $("pad").dispatchEvent(new KeyboardEvent("keydown", { key: k, bubbles: true, cancelable: true }));
  const keys = (k, n) => { for (let i = 0; i < n; i++) key(k); };
  while (!c || !c.web_steps_done()) await wait(1);
  $("go").click(); /* pause, in the middle */
  const stood = c.web_steps_done();
  await wait(300);
  say("pause stands still: step " + stood, c.web_steps_done() === stood && stood < c.web_steps() && $("go").textContent === "Go on");
  $("go").click();
  await ended();
  say("first training: " + $("verdict").textContent, $("verdict").className === "equal");
  $("again").click();
  await ended();
  say("again: " + $("verdict").textContent, $("verdict").className === "equal");
  $("pad").focus();
  key("Delete");
  say("an empty pad: " + $("answer").textContent, $("answer").textContent === "Draw a digit.");
  keys("ArrowLeft", 5);
  key(" ");
  keys("ArrowRight", 10);
  for (let i = 0; i < 5; i++) { keys("ArrowDown", 3); key("ArrowLeft"); }
  key(" ");
  say("a seven drawn by keys: " + $("answer").textContent, $("answer").textContent.startsWith("7,"));
  $("clear").click();
  const box = $("pad").getBoundingClientRect(), to = (type, x, y) => $("pad").dispatchEvent(new PointerEvent(type, {
    pointerId: 1, clientX: box.left + x * box.width / 280, clientY: box.top + y * box.height / 280, bubbles: true, cancelable: true }));
  $("pad").setPointerCapture = () => {};
  to("pointerdown", 140, 50);
  for (let a = 0; a <= 40; a++) to("pointermove", 140 - 60 * Math.sin(a * Math.PI / 20), 140 - 90 * Math.cos(a * Math.PI / 20));
  to("pointerup", 140, 50);
  say("a zero drawn by the pointer: " + $("answer").textContent, $("answer").textContent.startsWith("0,"));
  say("no scrolling to the side at " + innerWidth, document.documentElement.scrollWidth <= innerWidth);
  document.documentElement.style.width = "360px"; /* a phone's: narrower than a window may be */
  await wait(100);
  say("all fits into 360 pixels", [...document.querySelectorAll("section, section *")].every(e => e.getBoundingClientRect().right <= 360));
  say("nothing is fetched", performance.getEntriesByType("resource").length === 0);
  document.body.dataset.result = seen.join("; ");
})();
