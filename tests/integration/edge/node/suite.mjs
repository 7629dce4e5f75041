// The official `openai` package of Node against a running edge: EDGE_URL, EDGE_KEY and EDGE_READER_KEY say which.
// Prints one line a case, and ends with 1 when one of them failed.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import OpenAI from "openai";

const client = make(process.env.EDGE_KEY);
const model = "auto";
const tool = {
  type: "function",
  function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
};

function make(apiKey) {
  return new OpenAI({ baseURL: `${process.env.EDGE_URL}/v1`, apiKey, maxRetries: 0, timeout: 60_000 });
}

function asking(text = "Name a river.", marker = "") {
  return [{ role: "user", content: `${marker} ${text} ${randomUUID()}`.trim() }];
}

const cases = {
  async chat() {
    const { data, response } = await client.chat.completions.create({ model, messages: asking() }).withResponse();
    assert.ok(data.choices[0].message.content);
    assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
    assert.equal(data._request_id, response.headers.get("x-request-id"));
  },
  async tools() {
    const messages = asking("Weather in Ulm?");
    const answer = await client.chat.completions.create({ model, messages, tools: [tool], tool_choice: "required" });
    const [call] = answer.choices[0].message.tool_calls;
    assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)), ["city"]);
    messages.push(answer.choices[0].message, { role: "tool", tool_call_id: call.id, content: "Rain" });
    assert.ok((await client.chat.completions.create({ model, messages, tools: [tool] })).choices[0].message.content);
  },
  async json_mode() {
    const asked = { model: "gpt-6-luna", messages: asking("Answer in JSON."), response_format: { type: "json_object" } };
    const answer = await client.chat.completions.create(asked);
    assert.equal(typeof JSON.parse(answer.choices[0].message.content), "object");
  },
  async streaming_with_usage() {
    const messages = asking("Name a river.", "[[sim in=20 out=40]]");
    const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
    let pieces = 0;
    let usage;
    for await (const chunk of stream) {
      pieces += chunk.choices[0]?.delta?.content ? 1 : 0;
      usage = chunk.usage ?? usage;
    }
    assert.ok(pieces > 1);
    assert.equal(usage.completion_tokens, 40);
  },
  async stream_helper() {
    const stream = client.chat.completions.stream({ model, messages: asking() });
    let said = "";
    stream.on("content", (delta) => (said += delta));
    assert.equal(await stream.finalContent(), said);
  },
  async closed_stream() {
    const stream = await client.chat.completions.create({ model, messages: asking("a", "[[sim in=20 out=400]]"), stream: true });
    for await (const chunk of stream) {
      assert.ok(chunk.id);
      break;
    }
    assert.ok(stream.controller.signal.aborted);
  },
  async embeddings() {
    const answer = await client.embeddings.create({ model: "text-embedding-3-small", input: [randomUUID(), randomUUID()] });
    assert.equal(answer.data.length, 2);
    assert.equal(typeof answer.data[1].embedding[0], "number");
  },
  async models() {
    const names = [];
    for await (const each of client.models.list()) names.push(each.id);
    assert.ok(names.includes("auto"));
  },
  async responses() {
    const stream = client.responses.stream({ model, input: `Name a river. ${randomUUID()}` });
    let said = "";
    stream.on("response.output_text.delta", (event) => (said += event.delta));
    assert.equal((await stream.finalResponse()).output_text, said);
  },
  async errors() {
    const reader = make(process.env.EDGE_READER_KEY);
    await assert.rejects(make("pk-nobody").models.list(), OpenAI.AuthenticationError);
    await assert.rejects(reader.chat.completions.create({ model, messages: asking() }), OpenAI.PermissionDeniedError);
    await assert.rejects(client.chat.completions.create({ model: "no-such-model", messages: asking() }), OpenAI.NotFoundError);
    await assert.rejects(client.chat.completions.create({ model, messages: [] }), OpenAI.BadRequestError);
    const messages = asking("a", "[[sim in=5 out=5 fault=hang]]");
    const late = { headers: { "x-penstock-timeout": "1" } };
    await assert.rejects(client.chat.completions.create({ model, messages }, late), OpenAI.InternalServerError);
    await assert.rejects(client.chat.completions.create({ model, messages }, { ...late, timeout: 100 }), OpenAI.APIConnectionTimeoutError);
  },
};

for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`failed ${name}: ${error.stack}`);
  }
}
