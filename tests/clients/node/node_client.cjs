// Makes the calls of a plan with a Segment library for Node, and prints the messages that it made.
// The plan comes as JSON on stdin; its `module` names the library.

const plan = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));

/** What the plan says in JSON as JavaScript says it: dates are Dates. */
function native(value) {
  if (Array.isArray(value)) return value.map(native);
  if (value === null || typeof value !== 'object') return value;
  if ('$date' in value) return new Date(value.$date);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, native(item)]));
}

function calls() {
  return plan.calls.map(({ call, ...rest }) => [call, { userId: plan.userId, ...native(rest) }]);
}

async function current() {
  const { Analytics } = require('@segment/analytics-node');
  const analytics = new Analytics({ writeKey: plan.writeKey, host: plan.url, flushInterval: 100 });
  analytics.on('error', (error) => console.error('library error:', error));
  const made = calls().map(([call, message]) => new Promise((resolve) =>
    analytics[call](message, (error, context) => resolve(context.event))));
  await analytics.closeAndFlush();
  return Promise.all(made);
}

async function legacy() {
  const Analytics = require('analytics-node');
  const errorHandler = (error) => console.error('library error:', error.message);
  const analytics = new Analytics(plan.writeKey, { host: plan.url, flushInterval: 100, errorHandler });
  const batches = new Set();
  await Promise.all(calls().map(([call, message]) => new Promise((resolve) =>
    analytics[call](message, (error, data) => resolve(batches.add(data.batch))))));
  return [...batches].flat();
}

(plan.module === 'analytics-node' ? legacy() : current()).then((messages) =>
  process.stdout.write(JSON.stringify(
    messages.map(({ messageId, type, event }) => ({ messageId, type, event })))));
