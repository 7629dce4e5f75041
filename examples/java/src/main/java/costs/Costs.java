package costs;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Prints a line for every cost event: those that stand in ai.costs, and then each new one, until Ctrl-C.
 *
 * <p>The first argument is Kafka, the second Penstock's schema catalogue or a Confluent-compatible registry. No schema is copied
 * here: each record names the one that it was written with, and the catalogue has it.
 */
public final class Costs {
    private static final String TOPIC = "ai.costs";
    private static final long NANOS = 1_000_000_000L;

    private final HttpClient http = HttpClient.newHttpClient();
    private final Map<Integer, GenericDatumReader<GenericRecord>> readers = new HashMap<>();
    private final String catalogue;

    private Costs(String catalogue) {
        this.catalogue = catalogue.replaceAll("/+$", "");
    }

    public static void main(String[] args) throws InterruptedException {
        if (args.length != 2) {
            System.err.println("usage: Costs KAFKA CATALOGUE, e.g. localhost:9092 http://localhost:8081");
            System.exit(2);
        }
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "warn");
        Map<String, Object> settings =
                Map.of(
                        "bootstrap.servers", args[0],
                        "auto.offset.reset", "none",
                        "enable.auto.commit", false,
                        // Without it, what an aborted transaction left behind is seen too.
                        "isolation.level", "read_committed");
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            new Costs(args[1]).print(consumer);
        }
    }

    private void print(KafkaConsumer<byte[], byte[]> consumer) throws InterruptedException {
        List<TopicPartition> partitions =
                consumer.partitionsFor(TOPIC).stream().map(p -> new TopicPartition(TOPIC, p.partition())).toList();
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        while (true) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                try {
                    System.out.println(line(event(record.value())));
                } catch (IOException | AvroRuntimeException error) {
                    System.err.printf(
                            "%s[%d]@%d cannot be read: %s%n", record.topic(), record.partition(), record.offset(), error);
                }
            }
        }
    }

    /** A value is a zero byte, the schema's id in four bytes, and the Avro body. */
    private GenericRecord event(byte[] value) throws IOException, InterruptedException {
        if (value == null || value.length < 5 || value[0] != 0) {
            throw new IOException("no Confluent framing");
        }
        GenericDatumReader<GenericRecord> reader = reader(ByteBuffer.wrap(value, 1, 4).getInt());
        return reader.read(null, DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null));
    }

    /** Each schema is fetched once, by its id. */
    private GenericDatumReader<GenericRecord> reader(int id) throws IOException, InterruptedException {
        GenericDatumReader<GenericRecord> known = readers.get(id);
        if (known != null) {
            return known;
        }
        var request = HttpRequest.newBuilder(URI.create(catalogue + "/schemas/ids/" + id + "/schema")).build();
        var answer = http.send(request, BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IOException("the catalogue answers " + answer.statusCode() + " for schema " + id + ": " + answer.body());
        }
        var reader = new GenericDatumReader<GenericRecord>(new Schema.Parser().parse(answer.body()));
        readers.put(id, reader);
        return reader;
    }

    private static String line(GenericRecord event) {
        Instant at = Instant.EPOCH.plus((long) event.get("occurred_at"), ChronoUnit.MICROS).truncatedTo(ChronoUnit.SECONDS);
        return String.join(
                " ",
                at.toString(),
                event.get("tenant").toString(),
                event.get("deployment").toString(),
                event.get("kind").toString(),
                event.get("request_id").toString(),
                dollars((Long) event.get("cost_nanousd")));
    }

    /** An amount is an integer of 1e-9 dollars, and stays one. A price that is not known is not zero. */
    private static String dollars(Long nanousd) {
        if (nanousd == null) {
            return "price unknown";
        }
        long amount = Math.abs(nanousd);
        return String.format("%s$%d.%09d", nanousd < 0 ? "-" : "", amount / NANOS, amount % NANOS);
    }
}
