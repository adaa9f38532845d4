/**
 * The demo's shop. Each click makes one call of analytics.js; the sandbox's journal, followed live, tells
 * what Heap's script was told in this page, and the panel shows both side by side.
 */

const PRODUCTS = [
  { product_id: "p-1", name: "Monstera", price: 39, plant: "monstera" },
  { product_id: "p-2", name: "Boston fern", price: 24.5, plant: "fern" },
  { product_id: "p-3", name: "Snake plant", price: 29, plant: "snake" },
  { product_id: "p-4", name: "Rubber fig", price: 34, plant: "rubber" },
  { product_id: "p-5", name: "Calla lily", price: 18, plant: "calla" },
  { product_id: "p-6", name: "Cactus", price: 12.5, plant: "cactus" },
];
// The call of Heap that ends what it is told of each call of analytics.js.
const HEAPS_LAST = { track: "track", identify: "addUserProperties", reset: "resetIdentity" };

const find = (id) => document.getElementById(id);
const money = (amount) => `$${amount.toFixed(2)}`;
const facts = ({ product_id, name, price }) => ({ product_id, name, price, currency: "USD" });
const waiting = []; // rows of the panel that Heap has not been told of yet
let cart = [];
let visitor = null;
let isBlocked = false;

// The panel

/** Makes a call of analytics.js and shows it. */
async function call(method, ...args) {
  const row = find("call").content.cloneNode(true).firstElementChild;
  row.querySelector(".made").textContent = written("analytics", method, args);
  row.querySelector(".told").textContent = isBlocked ? "not told: its script is blocked" : "…";
  find("calls").prepend(row);
  if (!isBlocked) waiting.push({ row, method, event: args[0] });
  const made = await analytics[method](...args);
  if (made?.event) showStored(row, made.event.messageId);
}

function showStored(row, messageId) {
  const line = row.querySelector(".stored");
  line.hidden = false;
  line.querySelector("code").textContent = `.venv/bin/headgate trace ${messageId}`;
}

/** Puts what Heap was told beneath the call that made it. */
function showTold({ method, args }) {
  const fits = (one) => (method === "track" ? one.event === args[0] : one.method !== "track");
  const index = waiting.findIndex(fits);
  if (index < 0) return;
  const { row, method: made } = waiting[index];
  const line = row.querySelector(".heap");
  const told = line.querySelector(".told");
  if (line.classList.contains("waits")) told.replaceChildren();
  line.classList.remove("waits");
  const code = document.createElement("code");
  code.textContent = written("heap", method, args);
  told.append(code);
  if (method === HEAPS_LAST[made]) waiting.splice(index, 1);
}

function written(object, method, args) {
  return `${object}.${method}(${args.map((one) => JSON.stringify(one, null, 1)).join(", ")})`
    .replace(/\n\s*/g, " ");
}

/** Follows the journal. The hash tells this visit of the page from others, of which it tells as well. */
function follow() {
  if (!location.hash) history.replaceState(null, "", `#${Math.random().toString(36).slice(2, 8)}`);
  const journal = new EventSource("/journal/stream");
  journal.onmessage = ({ data }) => {
    const { path, body } = JSON.parse(data);
    if (path.startsWith("/recorder/") && body.page === location.href) showTold(body);
  };
  return new Promise((resolve) => (journal.onopen = resolve));
}

// The shop

function showProducts() {
  for (const product of PRODUCTS) {
    const card = find("product").content.cloneNode(true);
    card.querySelector(".plant").setAttribute("href", `#plant-${product.plant}`);
    card.querySelector(".name").textContent = product.name;
    card.querySelector(".price").textContent = money(product.price);
    card.querySelector(".view").onclick = () => call("track", "Product Viewed", facts(product));
    card.querySelector(".add").onclick = () => add(product);
    find("products").append(card);
  }
}

function add(product) {
  cart.push(product);
  showCart();
  call("track", "Product Added", { ...facts(product), quantity: 1 });
}

function remove(product) {
  cart.splice(cart.indexOf(product), 1);
  showCart();
  call("track", "Product Removed", facts(product));
}

function order() {
  const total = cart.reduce((sum, one) => sum + one.price, 0);
  const products = cart.map(({ product_id, price }) => ({ product_id, price }));
  cart = [];
  showCart();
  call("track", "Order Completed", { total, currency: "USD", products });
}

function showCart() {
  find("items").replaceChildren(...cart.map(itemOf));
  find("empty").hidden = cart.length > 0;
  find("order").disabled = cart.length === 0;
  const total = cart.reduce((sum, one) => sum + one.price, 0);
  find("order").textContent = cart.length ? `Order for ${money(total)}` : "Order";
}

function itemOf(product) {
  const item = document.createElement("li");
  const name = Object.assign(document.createElement("span"), {
    className: "name",
    textContent: product.name,
  });
  const price = Object.assign(document.createElement("span"), {
    textContent: money(product.price),
  });
  const button = Object.assign(document.createElement("button"), {
    className: "plain",
    textContent: "×",
    ariaLabel: `Remove ${product.name}`,
    onclick: () => remove(product),
  });
  item.append(name, price, button);
  return item;
}

function signInOrOut(submitted) {
  submitted.preventDefault();
  const name = find("name").value.trim();
  if (!visitor && !name) return;
  visitor = visitor ? null : name;
  if (visitor) {
    const id = visitor.toLowerCase().replace(/\s+/g, "-");
    call("identify", `shop-${id}`, { name: visitor, plan: { name: "green", since: new Date() } });
  } else {
    call("reset");
  }
  find("who").textContent = visitor ? `Signed in as ${visitor}` : "Not signed in";
  find("name").hidden = visitor !== null;
  find("sign").textContent = visitor ? "Sign out" : "Sign in";
}

/** On a narrow screen the panel lies over the shop. */
function fold() {
  const isFolded = find("live").classList.toggle("folded");
  find("fold").textContent = isFolded ? "Unfold" : "Fold";
  find("fold").ariaExpanded = String(!isFolded);
}

showProducts();
find("fold").onclick = fold;
find("order").onclick = order;
find("visitor").onsubmit = signInOrOut;
const following = follow();
analytics.ready(async () => {
  await following;
  document.body.dataset.ready = "";
  isBlocked = !window.heap?.loaded;
  find("state").textContent = isBlocked ? "Heap is blocked" : "Heap is in the page";
});
