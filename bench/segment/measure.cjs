// Segment's own Heap destination at work, on one core: mapping alone, or delivering to an HTTP server.
// Reads {messages, appId, heapUrl, seconds} from stdin and prints {messages, seconds, cpuSeconds}.
//
//   mapping     without heapUrl: subscription, mapping and action of each message, which end in a
//               request's body as an object; no schema is checked and no Request object made
//   delivering  with heapUrl: `Destination.onEvent`, as Segment calls it, eight messages in flight

const { Destination, transform } = require('@segment/actions-core')
const { parseFql, validate } = require('@segment/destination-subscriptions')
const heap = require('@segment/action-destinations/dist/destinations/heap').default
const hosts = require('@segment/action-destinations/dist/destinations/heap/constants')

const IN_FLIGHT = 8

async function main() {
  const plan = JSON.parse(require('fs').readFileSync(0, 'utf8'))
  const settings = { appId: plan.appId, region: 'US' }
  const work = plan.heapUrl ? delivering(plan.heapUrl, settings) : mapping(settings)
  await work(plan.messages.slice(0, 200)) // compiled and warm before it counts
  const until = performance.now() + plan.seconds * 1000
  const started = performance.now()
  const before = process.cpuUsage()
  let messages = 0
  do {
    await work(plan.messages)
    messages += plan.messages.length
  } while (performance.now() < until)
  const seconds = (performance.now() - started) / 1000
  const { user, system } = process.cpuUsage(before)
  console.log(JSON.stringify({ messages, seconds, cpuSeconds: (user + system) / 1e6 }))
}

function mapping(settings) {
  const subscriptions = heap.presets.map((preset) => ({
    condition: parseFql(preset.subscribe),
    mapping: preset.mapping,
    perform: heap.actions[preset.partnerAction].perform
  }))
  const request = (url, { json }) => json
  return async (messages) => {
    for (const message of messages) {
      for (const { condition, mapping, perform } of subscriptions) {
        if (validate(condition, message)) {
          await perform(request, { payload: transform(mapping, message), settings })
        }
      }
    }
  }
}

function delivering(heapUrl, settings) {
  hosts.getHeapBaseUrl = () => heapUrl
  const destination = new Destination(heap)
  const whole = { ...settings, subscriptions: heap.presets }
  return async (messages) => {
    const rest = messages.values()
    const one = async () => {
      for (const message of rest) await destination.onEvent(message, whole)
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, one))
  }
}

main()
