package published;

import com.aliyun.fc.runtime.Context;
import com.aliyun.fc.runtime.PojoRequestHandler;

/** Knows its input by a type variable alone. */
abstract class PricedOrders<I extends Orders.Order> implements PojoRequestHandler<I, Orders.Answer> {
    @Override
    public Orders.Answer handleRequest(I order, Context context) {
        if (order == null) return null;
        double total = order.getLines().stream().mapToDouble(line -> line.count() * line.price()).sum();
        return new Orders.Answer(order, total);
    }
}
