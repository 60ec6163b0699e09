/* The page of the web chat.
 *
 * The server's history is the truth; this page only adds what is still on its way. A message of the visitor's is kept in
 * localStorage until the server has confirmed its key, and repeated under the same key after every reconnect. A message
 * of the bot's is confirmed by its number once it stands here, and shown once however often it comes. */
"use strict";
(() => {
  const STORE = "yq:";
  const PING = 25000, PATIENCE = 10000, SLOWEST = 20000;
  const ALLOWED = { B: "b", STRONG: "b", I: "i", EM: "i", U: "u", INS: "u", S: "s", DEL: "s", A: "a", CODE: "code", PRE: "pre", BLOCKQUOTE: "blockquote" };
  const BLOCKS = ["PRE", "BLOCKQUOTE"];
  const WARNING = /^\s*(⚠|⏰|⏳|❗|🚨)\ufe0f?\s*/u, LISTED = /^\s*(\d{1,2}[.、]|[·•])/;

  const find = (id) => document.getElementById(id);
  const scroller = find("scroll"), items = find("items"), typing = find("typing"), newer = find("newer"), form = find("form");
  const text = find("text"), send = find("send"), attach = find("attach"), file = find("file"), problem = find("problem"), connection = find("connection");
  const limits = document.body.dataset;

  const shown = new Map();      // "bot:12", "me:7" or "key:…" -> its article
  const pending = new Map();    // key -> message not confirmed yet, oldest first
  const presses = new Map();    // key of a press -> the article whose buttons wait
  let socket = null, welcomed = false, failures = 0, retryTimer = 0, pingTimer = 0, deadline = 0;
  let typingTimer = 0, problemTimer = 0, botMessages = 0, followedAt = 0, followedTo = 0;

  // Bot text: Telegram's few tags, rebuilt one by one, so that nothing else can come through.

  function render(html) {
    const lines = document.createDocumentFragment();
    let line = null, afterBlock = true;
    const open = () => line || (line = lines.appendChild(document.createElement("div")));
    const close = () => {
      const warns = line && WARNING.test(line.textContent);
      if (warns) warn(line);
      else if (line && LISTED.test(line.textContent)) line.className = "listed";
      else if (!line && !afterBlock) lines.appendChild(document.createElement("div")).className = "gap";
      line = null;
      afterBlock = warns;
    };
    for (const node of new DOMParser().parseFromString("<body>" + html, "text/html").body.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) {
        node.data.split("\n").forEach((part, number) => {
          if (number) close();
          if (part) open().append(part);
        });
      } else if (BLOCKS.includes(node.nodeName)) {
        if (line) close();
        lines.append(...rebuilt(node));
        afterBlock = true;
      } else {
        open().append(...rebuilt(node));
      }
    }
    if (line) close();
    return lines;
  }

  /* A deadline stands out, with a sign of our own: not every screen has the character for it. */
  function warn(line) {
    line.className = "warn";
    const first = document.createTreeWalker(line, NodeFilter.SHOW_TEXT).nextNode();
    first.data = first.data.replace(WARNING, "");
  }

  function rebuilt(node) {
    if (node.nodeType === Node.TEXT_NODE) return [node.data];
    if (node.nodeType !== Node.ELEMENT_NODE || ["SCRIPT", "STYLE", "TEMPLATE"].includes(node.nodeName)) return [];
    const children = [...node.childNodes].flatMap(rebuilt);
    const name = ALLOWED[node.nodeName];
    if (!name) return children;
    const element = document.createElement(name);
    if (name === "a" && !link(element, node.getAttribute("href") || "")) return children;
    element.append(...children);
    return [element];
  }

  function link(element, href) {
    if (!/^(https?:\/\/|tel:|\/(?![\/\\]))/i.test(href)) return false;
    element.href = href;
    if (/^http/i.test(href)) Object.assign(element, { target: "_blank", rel: "noopener noreferrer" });
    return true;
  }

  // The log

  const me = (id) => "me:" + id, bot = (id) => "bot:" + id, mine = (key) => "key:" + key;
  const beijing = (moment) => new Date(moment + 8 * 3600e3).toISOString();
  const atEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;

  function toEnd() {
    scroller.scrollTop = scroller.scrollHeight;
    newer.hidden = true;
  }

  function element(name, className, content) {
    const made = document.createElement(name);
    made.className = className;
    if (content) made.append(content);
    return made;
  }

  function dayName(day) {
    if (day === beijing(Date.now()).slice(0, 10)) return "今天";
    return Number(day.slice(5, 7)) + "月" + Number(day.slice(8, 10)) + "日";
  }

  function article(item) {
    const made = element("article", "message " + item.from);
    made.tabIndex = -1;
    made.dataset.at = item.at;
    const bubble = element("div", "bubble");
    bubble.append(element("span", "unseen", item.from === "me" ? "我：" : "助手："), render(item.html));
    made.append(bubble, element("p", "state", item.at.slice(11, 16)));
    setButtons(made, item.id, item.buttons);
    return made;
  }

  /* Puts `made` at the end, or behind `before`; null is the beginning. */
  function place(made, before) {
    if (before === undefined) items.append(made);
    else if (before === null) items.prepend(made);
    else before.after(made);
  }

  /* A day's name stands before its first message and nowhere else; names that are right are left alone. */
  function nameDays() {
    let last = "";
    for (const one of [...items.children]) {
      if (one.className === "day") {
        const next = one.nextElementSibling;
        if (!next || next.className === "day" || next.dataset.at.slice(0, 10) === last) one.remove();
        continue;
      }
      const day = one.dataset.at.slice(0, 10), previous = one.previousElementSibling;
      if (day !== last && !(previous && previous.className === "day")) one.before(element("p", "day", dayName(day)));
      last = day;
    }
  }

  function setButtons(made, id, lines) {
    const old = made.querySelector(".buttons");
    const hadFocus = old && old.contains(document.activeElement);
    if (old) old.remove();
    delete made.dataset.waits;
    if (lines && lines.length) {
      const box = element("div", "buttons");
      for (const line of lines) {
        const row = box.appendChild(element("div", line.length > 2 ? "three" : ""));
        for (const button of line) {
          const key = row.appendChild(element("button", button.label.length > 9 ? "long" : "", button.label));
          key.type = "button";
          key.addEventListener("click", () => press(made, id, button.data, key));
        }
      }
      made.querySelector(".bubble").after(box);
    }
    if (hadFocus) made.focus({ preventScroll: true });
  }

  function setBody(made, html) {
    const bubble = made.querySelector(".bubble");
    bubble.replaceChildren(bubble.firstChild, render(html));
  }

  /* Shows an item, or brings the one that stands here already up to date; returns its article. */
  function show(item, before) {
    const name = item.from === "me" ? me(item.id) : bot(item.id);
    const known = shown.get(name) || (item.key && shown.get(mine(item.key)));
    if (known) {
      shown.set(name, known);
      if (item.from === "bot") {
        setBody(known, item.html);
        setButtons(known, item.id, item.buttons);
      }
      return known;
    }
    const made = article(item);
    shown.set(name, made);
    if (item.key) shown.set(mine(item.key), made);
    place(made, before);
    if (item.from === "me") setState(made, "已收到");
    return made;
  }

  function setState(made, words, bad, again) {
    const state = made.querySelector(".state");
    state.textContent = made.dataset.at.slice(11, 16) + " " + words;
    state.classList.toggle("bad", Boolean(bad));
    if (!again) return;
    const button = state.appendChild(element("button", "", "重新发送"));
    button.type = "button";
    button.addEventListener("click", again);
  }

  /* Follows a new message unless the reader is elsewhere; a long answer is shown from its beginning. */
  function follow(made, wasAtEnd) {
    made.classList.add("fresh");
    if (!wasAtEnd) {
      // What comes right behind a long answer is found by reading on.
      const untouched = scroller.scrollTop === followedTo && Date.now() - followedAt < 2000;
      if (!untouched) newer.hidden = false;
      return;
    }
    const top = made.offsetTop - scroller.offsetTop - 12;
    scroller.scrollTop = top;
    followedTo = scroller.scrollTop;
    followedAt = Date.now();
  }

  function setTyping(on) {
    clearTimeout(typingTimer);
    if (!on) {
      typing.hidden = true;
      return;
    }
    typingTimer = setTimeout(() => {
      const end = atEnd();
      typing.hidden = false;
      if (end) toEnd();
      typingTimer = setTimeout(() => setTyping(false), SLOWEST);
    }, 300);
  }

  function tell(words) {
    clearTimeout(problemTimer);
    problem.textContent = words;
    problem.hidden = false;
    problemTimer = setTimeout(() => { problem.hidden = true; }, 12000);
  }

  // What the visitor sends

  function newKey() {
    // randomUUID exists only on https and localhost; a court's own network may have neither.
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function keep(message) {
    pending.set(message.key, message);
    try {
      localStorage.setItem(STORE + message.key, JSON.stringify(message));
    } catch (error) { /* storage is full or forbidden: it is still repeated while the page is open */ }
  }

  function drop(key) {
    pending.delete(key);
    try {
      localStorage.removeItem(STORE + key);
    } catch (error) { /* as above */ }
  }

  function restore() {
    const found = [];
    try {
      for (let number = 0; number < localStorage.length; number++) {
        const name = localStorage.key(number);
        if (name.startsWith(STORE)) found.push(JSON.parse(localStorage.getItem(name)));
      }
    } catch (error) { /* as above */ }
    for (const message of found.sort((one, other) => one.moment - other.moment)) {
      pending.set(message.key, message);
      showOwn(message);
    }
  }

  function push(message) {
    if (!welcomed) return;
    message.seen = botMessages;
    const { moment, seen, ...wire } = message;
    socket.send(JSON.stringify(wire));
    expect(PATIENCE);
  }

  function submit(message) {
    const whole = { ...message, key: message.key || newKey(), moment: Date.now() };
    keep(whole);
    showOwn(whole);
    push(whole);
    return whole.key;
  }

  function escaped(words) {
    return words.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  }

  function showOwn(message) {
    const words = message.type === "say" ? message.text : message.type === "file" ? "📎 " + message.name : null;
    if (words === null || words.startsWith("/start")) return;
    const made = article({ id: 0, from: "me", html: escaped(words), buttons: [], at: beijing(message.moment) });
    shown.set(mine(message.key), made);
    place(made);
    nameDays();
    setState(made, "发送中");
    toEnd();
  }

  function press(made, id, data, button) {
    if (made.dataset.waits) return;
    for (const other of made.querySelectorAll(".buttons button")) other.setAttribute("aria-disabled", "true");
    button.classList.add("pressed");
    const key = submit({ type: "press", message: id, data });
    made.dataset.waits = key;
    presses.set(key, made);
    toEnd();
  }

  /* Lets the buttons be pressed again: an edit never came, so the message is meant to stay as it is. */
  function release(key) {
    const made = presses.get(key);
    presses.delete(key);
    if (!made || made.dataset.waits !== key) return;
    delete made.dataset.waits;
    for (const button of made.querySelectorAll(".buttons button")) {
      button.removeAttribute("aria-disabled");
      button.classList.remove("pressed");
    }
  }

  function say() {
    // Half a character, which some keyboards leave behind, would make the whole message unreadable.
    const words = new TextDecoder().decode(new TextEncoder().encode(text.value.trim()));
    if (!words) {
      text.focus();
      return;
    }
    if (words.length > limits.mostCharacters) {
      tell("这一条有 " + words.length + " 字，最多 " + limits.mostCharacters + " 字。请精简一下，或分成几条发送。");
      return;
    }
    problem.hidden = true;
    text.value = "";
    fit();
    submit({ type: "say", text: words });
  }

  async function upload(chosen) {
    if (chosen.size > limits.mostBytes) {
      tell("文件超过 20 MB，没有上传。请拆成几个小一点的文件再传。");
      return;
    }
    attach.disabled = true;
    tell("正在上传 " + chosen.name + " …");
    const body = new FormData();
    body.append("file", chosen);
    try {
      const response = await fetch("/upload", { method: "POST", body });
      const answer = await response.json();
      if (response.ok) {
        problem.hidden = true;
        submit({ type: "file", ...answer });
      } else {
        tell(answer.text);
      }
    } catch (error) {
      tell("文件没有传上去。请检查网络后再选一次。");
    }
    attach.disabled = false;
  }

  // What the server sends

  const on = {
    history(message) {
      if (message.chat !== limits.chat) {
        location.reload();
        return;
      }
      const first = !items.querySelector(".message"), end = atEnd(), count = shown.size;
      // Nobody wants yesterday's conversation read aloud.
      if (first) items.setAttribute("aria-live", "off");
      let before = null;
      for (const item of message.items) {
        before = show(item, before);
        if (item.key) confirmed(item.key, item.id);
      }
      nameDays();
      find("older").hidden = !message.more;
      attach.hidden = !message.may_upload;
      if (first || end) toEnd();
      else if (shown.size > count) newer.hidden = false;
      setTimeout(() => items.setAttribute("aria-live", "polite"), 500);
      got(message.receipts);
      welcomed = true;
      pending.forEach(push);
      if (!message.items.length && !pending.size) submit({ type: "say", key: "start-" + beijing(Date.now()).slice(0, 10), text: "/start" });
    },
    message(message) {
      if (message.from === "bot") {
        got([message.id]);
        if (shown.has(bot(message.id))) return;
        botMessages++;
        setTyping(false);
        for (const key of [...presses.keys()]) if (!pending.has(key)) setTimeout(release, 1500, key);
      }
      const end = atEnd(), known = shown.has(mine(message.key));
      const made = show(message);
      nameDays();
      if (!known) follow(made, end);
    },
    edit(message) {
      got([message.receipt]);
      setTyping(false);
      const made = shown.get(bot(message.id));
      if (!made) return;
      const end = atEnd();
      if (message.html !== null) setBody(made, message.html);
      setButtons(made, message.id, message.buttons);
      if (end) toEnd();
    },
    received(message) {
      const sent = pending.get(message.key);
      confirmed(message.key, message.id);
      if (sent && botMessages === sent.seen) setTyping(true);
      if (presses.has(message.key)) setTimeout(release, SLOWEST, message.key);
    },
    problem(message) {
      const sent = message.key && pending.get(message.key);
      const made = message.key && shown.get(mine(message.key));
      if (sent && !message.retry) drop(message.key);
      if (message.key) release(message.key);
      if (!made) {
        if (sent) drop(message.key);
        tell(message.text);
        return;
      }
      const again = () => {
        setState(made, "发送中");
        push(sent);
      };
      setState(made, "没有发出：" + message.text, true, message.retry && sent ? again : null);
      if (!message.retry && sent && sent.type === "say" && !text.value) {
        text.value = sent.text;
        fit();
      }
    },
    pong() {},
  };

  function confirmed(key, id) {
    drop(key);
    const made = shown.get(mine(key));
    if (!made) return;
    shown.set(me(id), made);
    setState(made, "已收到");
  }

  function got(ids) {
    if (ids.length && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "got", ids: ids.slice(0, 1000) }));
  }

  // The connection

  function connect() {
    clearTimeout(retryTimer);
    if (socket) return;
    const mySocket = new WebSocket(location.protocol.replace("http", "ws") + "//" + location.host + "/ws");
    socket = mySocket;
    mySocket.onmessage = (event) => {
      if (socket !== mySocket) return;
      clearTimeout(deadline);
      const message = JSON.parse(event.data);
      if (message.type === "history") connected();
      (on[message.type] || on.pong)(message);
    };
    mySocket.onclose = () => { if (socket === mySocket) lost(); };
    expect(PATIENCE);
  }

  function connected() {
    failures = 0;
    connection.hidden = true;
    clearInterval(pingTimer);
    pingTimer = setInterval(ping, PING, PATIENCE);
  }

  function ping(patience) {
    if (!welcomed) return;
    socket.send('{"type":"ping"}');
    expect(patience);
  }

  /* Something must arrive within `patience`, or the connection counts as dead. */
  function expect(patience) {
    clearTimeout(deadline);
    deadline = setTimeout(lost, patience);
  }

  function lost() {
    const dead = socket;
    socket = null;
    welcomed = false;
    clearTimeout(deadline);
    clearInterval(pingTimer);
    setTyping(false);
    if (dead) dead.close();
    failures++;
    if (failures > 1 || items.childElementCount) status("连接断开，正在重连…", false);
    retryTimer = setTimeout(retry, Math.min(20000, 500 * 2 ** Math.min(failures, 6)) * (0.7 + Math.random() * 0.6));
  }

  /* A browser that has lost its cookie gets a new one from the page itself. */
  async function retry() {
    if (failures > 2) {
      try {
        await fetch("/", { cache: "no-store" });
      } catch (error) { /* still no network */ }
    }
    connect();
  }

  function status(words, calm) {
    connection.textContent = words;
    connection.classList.toggle("calm", calm);
    connection.hidden = false;
  }

  function awake() {
    if (document.visibilityState !== "visible") return;
    if (welcomed) ping(4000);
    else connect();
  }

  // The input

  function fit() {
    const end = atEnd();
    text.style.height = "auto";
    text.style.height = text.scrollHeight + 2 + "px";
    send.classList.toggle("empty", !text.value.trim());
    if (end) scroller.scrollTop = scroller.scrollHeight;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    say();
  });
  text.addEventListener("input", fit);
  text.addEventListener("keydown", (event) => {
    // While a Chinese input method is composing, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    say();
  });
  // Tapping "send" must not close the keyboard.
  send.addEventListener("mousedown", (event) => event.preventDefault());
  attach.addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    if (file.files[0]) upload(file.files[0]);
    file.value = "";
  });
  newer.addEventListener("click", toEnd);
  scroller.addEventListener("scroll", () => { if (atEnd()) newer.hidden = true; }, { passive: true });
  window.addEventListener("online", awake);
  window.addEventListener("offline", () => { if (socket) lost(); });
  window.addEventListener("pageshow", awake);
  document.addEventListener("visibilitychange", awake);

  // Safari's keyboard covers the page instead of shrinking it; only the visual viewport knows.
  if (window.visualViewport) {
    let last = visualViewport.height;
    visualViewport.addEventListener("resize", () => {
      const end = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80 + Math.abs(last - visualViewport.height);
      last = visualViewport.height;
      if (visualViewport.scale > 1.01) return;
      document.body.style.height = visualViewport.height + "px";
      window.scrollTo(0, 0);
      if (end) toEnd();
    });
  }

  const asked = new URLSearchParams(location.search).get("q");
  if (asked) {
    text.value = asked.slice(0, limits.mostCharacters);
    history.replaceState(null, "", "/");
  }
  fit();
  restore();
  if (matchMedia("(pointer: fine)").matches) text.focus();
  setTimeout(() => { if (!welcomed && connection.hidden) status("正在连接…", true); }, 1500);
  connect();
})();
