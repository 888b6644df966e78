import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/**
 * Forwards the events of those who permit analytics, with Kafka Streams: the events are joined with a global
 * table of the consents, exactly once.
 *
 * <p>A global table is read to its end before the first event, and from then on by a thread of its own. Its
 * store holds the bytes of the topic as they are, so a person's consent is parsed at each look.
 */
public final class StreamsFilter {
    private StreamsFilter() {}

    /** Arguments: broker, consent topic, event topic, sink topic, application id, threads, state directory. */
    public static void main(String[] args) {
        Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[4]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Integer.parseInt(args[5]));
        config.put(StreamsConfig.STATE_DIR_CONFIG, args[6]);
        // As the others' producers have it; the default is 16 KB.
        config.put(StreamsConfig.producerPrefix("batch.size"), 1_000_000);
        KafkaStreams streams = new KafkaStreams(topology(args[1], args[2], args[3]).build(), config);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private static StreamsBuilder topology(String consentTopic, String events, String sink) {
        Serde<byte[]> bytes = Serdes.ByteArray();
        StreamsBuilder builder = new StreamsBuilder();
        GlobalKTable<String, byte[]> consents =
                builder.globalTable(
                        consentTopic,
                        Consumed.with(Serdes.String(), bytes),
                        Materialized.as(Stores.inMemoryKeyValueStore("consents")));
        builder.stream(events, Consumed.with(bytes, bytes))
                .join(consents, (key, event) -> subject(event), (event, consent) -> permits(consent) ? event : null)
                .filter((key, event) -> event != null)
                .to(sink, Produced.with(bytes, bytes));
        return builder;
    }

    private static String subject(byte[] event) {
        try {
            return Analytics.subject(event);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static boolean permits(byte[] consent) {
        try {
            return Analytics.consent(consent).permits();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
