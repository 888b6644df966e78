import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.util.List;

/**
 * What the applications beside Consentry ask of a record: whose event it is, and whether a person's consent
 * record permits analytics.
 *
 * <p>Records are bound to classes of only what is read, which takes Jackson half the time of a tree.
 */
final class Analytics {
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Event(User user) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    record User(String id) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Consent(List<Grant> grants) {
        boolean permits() {
            return grants != null && grants.stream().anyMatch(Grant::permits);
        }
    }

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Grant(String purpose, String status) {
        boolean permits() {
            return "analytics".equals(purpose) && "given".equals(status);
        }
    }

    private static final ObjectReader EVENT = new ObjectMapper().readerFor(Event.class);
    private static final ObjectReader CONSENT = new ObjectMapper().readerFor(Consent.class);

    private Analytics() {}

    /** The key under which the person's consent stands; null where the event names nobody. */
    static String subject(byte[] event) throws IOException {
        Event read = EVENT.readValue(event);
        return read.user() == null || read.user().id() == null ? null : "user_id:" + read.user().id();
    }

    /** A person's consent record. */
    static Consent consent(byte[] record) throws IOException {
        return CONSENT.readValue(record);
    }
}
