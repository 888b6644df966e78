import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.co.BroadcastProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Forwards the events of those who permit analytics, with Flink: the consents are broadcast to every task that
 * filters events, exactly once.
 *
 * <p>Flink does not order a broadcast stream and the stream beside it: events would meet consents that are not
 * there yet. So each task reads the consent topic into its broadcast state before its first event, up to an end
 * that is fixed when the job is made, and the broadcast stream begins at that end.
 */
public final class FlinkFilter {
    private static final MapStateDescriptor<String, Boolean> PERMITS =
            new MapStateDescriptor<>("permits", Types.STRING, Types.BOOLEAN);

    private FlinkFilter() {}

    /**
     * Arguments: broker, consent topic, event topic, sink topic, consumer group, parallelism, state directory,
     * milliseconds between checkpoints.
     */
    public static void main(String[] args) throws Exception {
        String broker = args[0];
        HashMap<TopicPartition, Long> end = end(broker, args[1]);
        Configuration config = new Configuration();
        config.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        config.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, "file://" + args[6]);
        StreamExecutionEnvironment env =
                StreamExecutionEnvironment.createLocalEnvironment(Integer.parseInt(args[5]), config);
        env.getConfig().enableObjectReuse();
        env.enableCheckpointing(Long.parseLong(args[7]), CheckpointingMode.EXACTLY_ONCE);
        DataStream<Tuple2<byte[], byte[]>> events =
                records(env, broker, args[2], args[4], OffsetsInitializer.earliest(), new Events());
        DataStream<Tuple2<String, Boolean>> consents =
                records(env, broker, args[1], args[4] + "-consents", OffsetsInitializer.offsets(end), new Consents());
        events.connect(consents.broadcast(PERMITS))
                .process(new Filter(broker, end))
                .sinkTo(sink(broker, args[3], args[4]));
        env.execute(args[4]);
    }

    /** The records of a topic; the offsets are committed to the group with each checkpoint. */
    private static <T> DataStream<T> records(
            StreamExecutionEnvironment env,
            String broker,
            String topic,
            String group,
            OffsetsInitializer from,
            KafkaRecordDeserializationSchema<T> reads) {
        KafkaSource<T> source =
                KafkaSource.<T>builder()
                        .setBootstrapServers(broker)
                        .setTopics(topic)
                        .setGroupId(group)
                        .setStartingOffsets(from)
                        .setProperty("isolation.level", "read_committed")
                        .setProperty("commit.offsets.on.checkpoint", "true")
                        .setDeserializer(reads)
                        .build();
        return env.fromSource(source, WatermarkStrategy.noWatermarks(), topic);
    }

    private static KafkaSink<Tuple2<byte[], byte[]>> sink(String broker, String topic, String group) {
        KafkaRecordSerializationSchema<Tuple2<byte[], byte[]>> record =
                KafkaRecordSerializationSchema.<Tuple2<byte[], byte[]>>builder()
                        .setTopic(topic)
                        .setKeySerializationSchema(new Key())
                        .setValueSerializationSchema(new Value())
                        .build();
        return KafkaSink.<Tuple2<byte[], byte[]>>builder()
                .setBootstrapServers(broker)
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(group)
                .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                .setProperty("transaction.timeout.ms", "60000")
                // As the others' producers have it; the default is 16 KB.
                .setProperty("batch.size", "1000000")
                .setProperty("linger.ms", "5")
                .setRecordSerializer(record)
                .build();
    }

    /** Where each partition of a topic ends now. */
    private static HashMap<TopicPartition, Long> end(String broker, String topic) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(broker)) {
            List<TopicPartition> partitions =
                    consumer.partitionsFor(topic).stream()
                            .map(partition -> new TopicPartition(topic, partition.partition()))
                            .toList();
            return new HashMap<>(consumer.endOffsets(partitions));
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String broker) {
        Properties config = new Properties();
        config.put("bootstrap.servers", broker);
        config.put("isolation.level", "read_committed");
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Keys and values as they are. */
    private static final class Events implements KafkaRecordDeserializationSchema<Tuple2<byte[], byte[]>> {
        private static final long serialVersionUID = 1;

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Tuple2<byte[], byte[]>> out) {
            out.collect(Tuple2.of(record.key(), record.value()));
        }

        @Override
        public TypeInformation<Tuple2<byte[], byte[]>> getProducedType() {
            return Types.TUPLE(Types.PRIMITIVE_ARRAY(Types.BYTE), Types.PRIMITIVE_ARRAY(Types.BYTE));
        }
    }

    private static final class Key implements SerializationSchema<Tuple2<byte[], byte[]>> {
        private static final long serialVersionUID = 1;

        @Override
        public byte[] serialize(Tuple2<byte[], byte[]> event) {
            return event.f0;
        }
    }

    private static final class Value implements SerializationSchema<Tuple2<byte[], byte[]>> {
        private static final long serialVersionUID = 1;

        @Override
        public byte[] serialize(Tuple2<byte[], byte[]> event) {
            return event.f1;
        }
    }

    /** Who, and whether they permit; a tombstone permits nothing. */
    private static final class Consents implements KafkaRecordDeserializationSchema<Tuple2<String, Boolean>> {
        private static final long serialVersionUID = 1;

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Tuple2<String, Boolean>> out)
                throws IOException {
            out.collect(Tuple2.of(new String(record.key(), StandardCharsets.UTF_8), permits(record)));
        }

        static boolean permits(ConsumerRecord<byte[], byte[]> record) throws IOException {
            return record.value() != null && Analytics.consent(record.value()).permits();
        }

        @Override
        public TypeInformation<Tuple2<String, Boolean>> getProducedType() {
            return Types.TUPLE(Types.STRING, Types.BOOLEAN);
        }
    }

    /** Lets through the events of those who permit. */
    private static final class Filter
            extends BroadcastProcessFunction<Tuple2<byte[], byte[]>, Tuple2<String, Boolean>, Tuple2<byte[], byte[]>>
            implements CheckpointedFunction {
        private static final long serialVersionUID = 1;

        private final String broker;
        private final HashMap<TopicPartition, Long> end;

        Filter(String broker, HashMap<TopicPartition, Long> end) {
            this.broker = broker;
            this.end = end;
        }

        /** Reads the consents that were there when the job was made, unless a checkpoint brings them. */
        @Override
        public void initializeState(FunctionInitializationContext context) throws Exception {
            BroadcastState<String, Boolean> permits = context.getOperatorStateStore().getBroadcastState(PERMITS);
            if (context.isRestored()) {
                return;
            }
            try (KafkaConsumer<byte[], byte[]> consumer = consumer(broker)) {
                consumer.assign(end.keySet());
                consumer.seekToBeginning(end.keySet());
                while (end.entrySet().stream().anyMatch(at -> consumer.position(at.getKey()) < at.getValue())) {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                        // What is past the end comes again, over the broadcast stream.
                        if (record.offset() < end.get(new TopicPartition(record.topic(), record.partition()))) {
                            String subject = new String(record.key(), StandardCharsets.UTF_8);
                            permits.put(subject, Consents.permits(record));
                        }
                    }
                }
            }
        }

        @Override
        public void snapshotState(FunctionSnapshotContext context) {
            // Broadcast state is in every checkpoint as it is.
        }

        @Override
        public void processBroadcastElement(
                Tuple2<String, Boolean> consent, Context context, Collector<Tuple2<byte[], byte[]>> out)
                throws Exception {
            context.getBroadcastState(PERMITS).put(consent.f0, consent.f1);
        }

        @Override
        public void processElement(
                Tuple2<byte[], byte[]> event, ReadOnlyContext context, Collector<Tuple2<byte[], byte[]>> out)
                throws Exception {
            String subject = Analytics.subject(event.f1);
            if (subject != null && Boolean.TRUE.equals(context.getBroadcastState(PERMITS).get(subject))) {
                out.collect(event);
            }
        }
    }
}
