package published;

import java.time.LocalDate;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Beans and a record, in a handler whose types come from a generic class above it. */
public class Orders extends PricedOrders<Orders.Order> {
    public enum State {
        OPEN,
        SHIPPED
    }

    public record Line(String article, int count, double price) {}

    public static class Order {
        private String customer;
        private List<Line> lines = new ArrayList<>();
        public LocalDate due;

        public String getCustomer() {
            return customer;
        }

        public void setCustomer(String customer) {
            this.customer = customer;
        }

        public List<Line> getLines() {
            return lines;
        }

        public void setLines(List<Line> lines) {
            this.lines = lines;
        }
    }

    public static class Answer {
        private final Order order;
        private final double total;

        Answer(Order order, double total) {
            this.order = order;
            this.total = total;
        }

        public Order getOrder() {
            return order;
        }

        public double getTotal() {
            return total;
        }

        public State getState() {
            return State.OPEN;
        }

        public Map<State, Integer> getCounts() {
            return Map.of(State.SHIPPED, 2);
        }
    }
}
