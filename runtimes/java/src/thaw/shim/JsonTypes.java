package thaw.shim;

import java.lang.reflect.Array;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.util.HashMap;
import java.util.Map;

/** What the generic types of a method or field are once the class that it is used in is known. */
final class JsonTypes {
    /** Steps through types that are made of types; one that is made of itself has no end. */
    private static final int STEPS_MAX = 16;

    private JsonTypes() {}

    /** A generic class with its arguments known. */
    record Parameterized(Class<?> rawType, Type[] arguments) implements ParameterizedType {
        @Override
        public Type[] getActualTypeArguments() {
            return arguments.clone();
        }

        @Override
        public Type getRawType() {
            return rawType;
        }

        @Override
        public Type getOwnerType() {
            return rawType.getDeclaringClass();
        }
    }

    /** Puts in place of type variables what {@code context}, a class or a parameterized type, makes of them. */
    static Type resolve(Type type, Type context) {
        return type instanceof Class ? type : resolve(type, variables(context), 0);
    }

    static Class<?> rawType(Type type) {
        if (type instanceof Class) return (Class<?>) type;
        if (type instanceof ParameterizedType) return (Class<?>) ((ParameterizedType) type).getRawType();
        if (type instanceof GenericArrayType) {
            return Array.newInstance(rawType(((GenericArrayType) type).getGenericComponentType()), 0).getClass();
        }
        return Object.class;
    }

    /** The n-th type argument that a type gives to one of its supertypes, such as the E of a Collection. */
    static Type argument(Type type, Class<?> supertype, int index) {
        TypeVariable<?> variable = supertype.getTypeParameters()[index];
        Type found = variables(type).get(variable);
        return found == null || found instanceof TypeVariable ? Object.class : found;
    }

    private static Type resolve(Type type, Map<TypeVariable<?>, Type> variables, int step) {
        if (step > STEPS_MAX) return Object.class;
        if (type instanceof TypeVariable) {
            Type known = variables.get(type);
            if (known == null || known == type) return resolve(((TypeVariable<?>) type).getBounds()[0], variables, step + 1);
            return resolve(known, variables, step + 1);
        }
        if (type instanceof WildcardType) return resolve(((WildcardType) type).getUpperBounds()[0], variables, step + 1);
        if (type instanceof ParameterizedType) {
            Type[] arguments = ((ParameterizedType) type).getActualTypeArguments();
            for (int i = 0; i < arguments.length; i++) arguments[i] = resolve(arguments[i], variables, step + 1);
            return new Parameterized(rawType(type), arguments);
        }
        if (type instanceof GenericArrayType) {
            Type item = resolve(((GenericArrayType) type).getGenericComponentType(), variables, step + 1);
            return item instanceof Class ? Array.newInstance((Class<?>) item, 0).getClass() : new ArrayOf(item);
        }
        return type;
    }

    private record ArrayOf(Type item) implements GenericArrayType {
        @Override
        public Type getGenericComponentType() {
            return item;
        }
    }

    private static Map<TypeVariable<?>, Type> variables(Type type) {
        Map<TypeVariable<?>, Type> variables = new HashMap<>();
        collect(type, variables);
        return variables;
    }

    private static void collect(Type type, Map<TypeVariable<?>, Type> variables) {
        if (type instanceof ParameterizedType) {
            TypeVariable<?>[] parameters = rawType(type).getTypeParameters();
            Type[] arguments = ((ParameterizedType) type).getActualTypeArguments();
            for (int i = 0; i < parameters.length; i++) {
                Type argument = arguments[i];
                Type known = argument instanceof TypeVariable ? variables.get(argument) : null;
                variables.put(parameters[i], known == null ? resolve(argument, variables, 0) : known);
            }
        }
        Class<?> raw = rawType(type);
        if (raw.getGenericSuperclass() != null) collect(raw.getGenericSuperclass(), variables);
        for (Type supertype : raw.getGenericInterfaces()) collect(supertype, variables);
    }
}
