package thaw_no_such_package;

/** Stands on the source path alone: it is never compiled into the code package. */
public class Needed {}
