// The official `openai` package of Node against a running edge: EDGE_URL, EDGE_KEY and EDGE_READER_KEY say which.
// Prints one line a case, and ends with 1 when one of them failed.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI, { toFile } from "openai";

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

const endpoint = "/v1/chat/completions";

function line(customId, marker) {
  return JSON.stringify({ custom_id: customId, method: "POST", url: endpoint, body: { model, messages: asking(undefined, marker) } });
}

async function begun(lines) {
  const file = await client.files.create({ file: await toFile(Buffer.from(lines.join("\n")), "in.jsonl"), purpose: "batch" });
  return client.batches.create({ input_file_id: file.id, endpoint, completion_window: "24h", metadata: { job: "june" } });
}

async function polled(batch, until) {
  for (const giveUp = Date.now() + 120_000; !until(batch); batch = await client.batches.retrieve(batch.id)) {
    assert.ok(Date.now() < giveUp, JSON.stringify(batch));
    await sleep(100);
  }
  return batch;
}

async function linesOf(fileId) {
  const text = await (await client.files.content(fileId)).text();
  return text.trimEnd().split("\n").map((each) => JSON.parse(each));
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
  async batch() {
    const names = ["one", "two", "three"];
    let batch = await begun([...names.map((name) => line(name)), "no json", line("failing", "[[sim in=5 out=5 fault=http_400]]")]);
    assert.deepEqual([batch.status, batch.metadata], ["validating", { job: "june" }]);
    const uploaded = await client.files.waitForProcessing(batch.input_file_id);
    assert.deepEqual([uploaded.object, uploaded.purpose, uploaded.filename], ["file", "batch", "in.jsonl"]);
    batch = await polled(batch, ({ status }) => !["validating", "in_progress", "finalizing"].includes(status));
    assert.equal(batch.status, "completed");
    assert.deepEqual(batch.request_counts, { total: 5, completed: 3, failed: 2 });
    const answers = await linesOf(batch.output_file_id);
    assert.deepEqual(answers.map((each) => each.custom_id).sort(), [...names].sort());
    for (const { response } of answers) {
      assert.equal(response.status_code, 200);
      assert.ok(response.body.choices[0].message.content);
    }
    const errors = await linesOf(batch.error_file_id);
    assert.equal(errors.find((each) => each.custom_id === null).error.code, "invalid_json_line");
    assert.equal(errors.find((each) => each.custom_id === "failing").response.status_code, 400);
    const listed = [];
    for await (const each of client.batches.list({ limit: 1 })) if (listed.push(each.id) === 1) assert.equal(each.id, batch.id);
    assert.ok((await client.files.delete(batch.output_file_id)).deleted);
    await assert.rejects(client.files.content(batch.output_file_id), OpenAI.NotFoundError);
  },
  async cancelled_batch() {
    const lines = Array.from({ length: 200 }, (_, number) => line(`line ${number}`, "[[sim in=20 out=10 fault=slow_body:700]]"));
    let batch = await polled(await begun(lines), ({ request_counts }) => request_counts?.completed > 0);
    batch = await client.batches.cancel(batch.id);
    assert.ok(["cancelling", "cancelled"].includes(batch.status));
    batch = await polled(batch, ({ status }) => status !== "cancelling");
    assert.equal(batch.status, "cancelled");
    assert.ok(batch.cancelled_at >= batch.cancelling_at);
    assert.equal((await linesOf(batch.output_file_id)).length, batch.request_counts.completed);
    assert.ok(batch.request_counts.completed < 200);
  },
  async refused_batches() {
    const reader = make(process.env.EDGE_READER_KEY);
    const wished = { input_file_id: "file-none", endpoint, completion_window: "24h" };
    await assert.rejects(client.batches.create(wished), OpenAI.NotFoundError);
    await assert.rejects(reader.batches.create(wished), OpenAI.PermissionDeniedError);
    await assert.rejects(client.batches.create({ ...wished, endpoint: "/v1/nothing" }), OpenAI.BadRequestError);
    await assert.rejects(client.batches.retrieve("batch_none"), OpenAI.NotFoundError);
    await assert.rejects(client.batches.cancel("batch_none"), OpenAI.NotFoundError);
    await assert.rejects(client.files.create({ file: await toFile(Buffer.from("{}"), "a"), purpose: "assistants" }), OpenAI.BadRequestError);
    const nothing = await polled(await begun(["no json"]), ({ status }) => status === "failed");
    assert.deepEqual(nothing.errors.data.map(({ code, line }) => [code, line]), [["invalid_json_line", 1]]);
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
