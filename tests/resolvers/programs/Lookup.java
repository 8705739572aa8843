// Java's resolvers: for each name a line of the name, milliseconds, and addresses; or ports and targets, for SRV.
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Hashtable;
import java.util.List;
import javax.naming.directory.InitialDirContext;

public class Lookup {
    public static void main(String[] names) {
        for (String name : names) {
            long begin = System.nanoTime();
            List<String> found = new ArrayList<>();
            try {
                if (name.startsWith("_")) {
                    var environment = new Hashtable<String, String>();
                    environment.put("java.naming.factory.initial", "com.sun.jndi.dns.DnsContextFactory");
                    environment.put("java.naming.provider.url", "dns:");
                    var records = new InitialDirContext(environment).getAttributes(name, new String[] {"SRV"}).get("SRV");
                    for (Object record : Collections.list(records.getAll())) {
                        String[] words = record.toString().split(" ");
                        found.add(words[2] + ":" + words[3].replaceAll("\\.$", ""));
                    }
                } else {
                    for (InetAddress address : InetAddress.getAllByName(name)) {
                        found.add(address.getHostAddress());
                    }
                }
            } catch (Exception none) {
                // A line without addresses says so.
            }
            long millis = (System.nanoTime() - begin) / 1_000_000;
            System.out.println(name + " " + millis + " " + String.join(" ", found));
        }
    }
}
