// The label desk: shows one review, sends the answer, shows the next that comes back with it.
// Decides nothing: who gets which review and whether an answer still counts is the server's business.
"use strict";
(() => {
  const LOOK_AGAIN_MS = 10_000;
  const OTHER_TAB = "OpenInAnotherTab";
  const part = (id) => document.getElementById(id);
  const answers = [...document.querySelectorAll("[data-sentiment]")];
  const keys = { 1: answers[0], 2: answers[1], 3: answers[2], s: part("skip"), u: part("undo") };

  let review = null;
  let leaseSeconds = 300;
  let busy = false;
  let active = false; // has the person done anything since the lease was last renewed?

  async function post(path, body = {}, options = {}) {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Restar-Desk": "1" },
      body: JSON.stringify(body),
      ...options,
    });
    if (response.ok) return response.status === 204 ? null : response.json();
    const problem = await response.json().catch(() => ({}));
    throw Object.assign(new Error(problem.detail ?? response.statusText), { status: response.status, problem: problem.error });
  }

  function held() {
    return { task_id: review.task_id, token: review.token };
  }

  function say(message, kind = "") {
    part("message").textContent = message;
    part("message").className = kind;
  }

  function show(desk) {
    review = desk.review;
    leaseSeconds = desk.lease_seconds;
    part("waiting").textContent = desk.waiting.toLocaleString();
    part("answered").textContent = desk.answered_last_hour.toLocaleString();
    part("aside").hidden = desk.set_aside === "";
    part("aside").textContent = `Set aside: ${desk.set_aside}.`;
    part("waiting").title = desk.set_aside === "" ? "" : `besides, set aside: ${desk.set_aside}`;
    part("review").hidden = review === null;
    part("empty").hidden = review !== null;
    if (review !== null) showReview();
    enable();
  }

  function showReview() {
    part("category").textContent = (review.product_category ?? "no category").replaceAll("_", " ");
    const written = new Date(review.reviewed_at);
    part("reviewed").textContent = written.toLocaleDateString("en", { year: "numeric", month: "long", timeZone: "UTC" });
    part("text").textContent = review.text;
    part("hints").hidden = review.hints === null;
    if (review.hints !== null) part("hints").textContent = hintText(review.hints);
    part("stage").scrollTop = 0;
    // Restarts the fade, so that the eye notices the change even between two short reviews.
    part("review").getAnimations().forEach((animation) => { animation.cancel(); animation.play(); });
  }

  function hintText(hints) {
    const stars = hints.rating === null ? "no stars" : "★".repeat(hints.rating) + "☆".repeat(5 - hints.rating);
    const opinion = hints.sentiment === null ? "" : ` · model: ${hints.sentiment}, ${Math.round(hints.confidence * 100)} % sure`;
    return stars + opinion;
  }

  function enable() {
    for (const button of [...answers, part("skip")]) button.disabled = busy || review === null;
    part("undo").disabled = busy;
  }

  // One thing at a time: a key pressed while an answer is on its way must not hit a review that nobody has read.
  async function act(path, body, { button, done = "" } = {}) {
    if (busy) return;
    busy = true;
    enable();
    button?.classList.add("pressed");
    try {
      const desk = await post(path, body);
      show(desk);
      say(desk.notice ?? done);
    } catch (error) {
      await complain(error);
    } finally {
      busy = false;
      button?.classList.remove("pressed");
      enable();
    }
  }

  async function complain(error) {
    if (error.status === undefined) {
      say("The server does not answer, so nothing is sure to be stored. Press the key again.", "bad");
    } else if (error.problem === "LeaseLost" || error.problem === OTHER_TAB) {
      await replace(error);
    } else if (error.status === 401) {
      say("Your login has ended: sign in to Airflow again and reload this page.", "bad");
    } else {
      say(`${error.message}`, error.problem === "NothingToUndo" ? "" : "bad");
    }
  }

  // Says why the review is no longer this page's. One that was open in another tab comes back here: here is the person.
  async function replace(lost) {
    const before = review?.task_id;
    const why = `${lost.message[0].toUpperCase()}${lost.message.slice(1)}.`;
    try {
      show(await post("claim"));
      const here = review?.task_id === before ? "It is here now: answer it here." : "Here is the next one.";
      say(review === null ? why : `${why} ${here}`, "bad");
    } catch (error) {
      review = null;
      say(`${why} No other one came: ${error.message}`, "bad");
    }
  }

  function press(button) {
    if (button.disabled) return;
    if (button === keys.u) act("undo", {}, { button, done: "Taken back: answer it again." });
    else if (button === keys.s) act("skip", held(), { button, done: "Skipped." });
    else act("submit", { ...held(), sentiment: button.dataset.sentiment }, { button });
  }

  function releaseOnLeaving() {
    if (review === null) return;
    post("release", held(), { keepalive: true }).catch(() => {}); // the lease ends by itself
    review = null;
  }

  async function renewLease() {
    if (review !== null && active && !busy) {
      active = false;
      const renewed = held();
      await post("renew", renewed).catch((error) => {
        // Not if the person has answered meanwhile: then the lease ended because of that.
        if (busy || review?.token !== renewed.token || review?.task_id !== renewed.task_id) return;
        // Two tabs must not take the review from each other; an answer brings it here.
        if (error.problem === OTHER_TAB) say("This review is open in another tab of yours. Answer it there.", "bad");
        else if (error.problem === "LeaseLost") return replace(error);
      });
    }
    window.setTimeout(renewLease, (leaseSeconds * 1000) / 3);
  }

  function lookAgain() {
    if (review === null && !busy && document.visibilityState === "visible") act("claim");
    window.setTimeout(lookAgain, LOOK_AGAIN_MS);
  }

  function takeFocus() {
    // Inside Airflow's frame the keys go to the page around us until we ask for them.
    window.focus();
    part("stage").focus({ preventScroll: true });
  }

  function noticeFocus() {
    document.body.classList.toggle("without-keys", !document.hasFocus());
  }

  document.addEventListener("keydown", (event) => {
    // A key that is held down must not label review after review.
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const button = keys[event.key.toLowerCase()];
    if (button) {
      event.preventDefault();
      press(button);
    }
  });
  for (const button of Object.values(keys)) {
    button.addEventListener("click", () => { press(button); takeFocus(); });
  }
  for (const sign of ["keydown", "pointermove", "wheel", "touchmove"]) {
    document.addEventListener(sign, () => { active = true; }, { passive: true });
  }
  window.addEventListener("pagehide", releaseOnLeaving);
  window.addEventListener("pageshow", (event) => { if (event.persisted) act("claim"); });
  window.addEventListener("focus", noticeFocus);
  window.addEventListener("blur", noticeFocus);
  // Airflow's own page may take the keys back while it is still being built: once more when this one is complete.
  window.addEventListener("load", takeFocus);

  takeFocus();
  noticeFocus();
  act("claim");
  window.setTimeout(lookAgain, LOOK_AGAIN_MS);
  window.setTimeout(renewLease, (leaseSeconds * 1000) / 3);
})();
