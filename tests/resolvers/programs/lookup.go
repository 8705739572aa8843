// Go's own resolver: for each name a line of the name, milliseconds, and addresses; or ports and targets, for SRV.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	resolver := net.Resolver{PreferGo: true}
	for _, name := range os.Args[1:] {
		begin := time.Now()
		var found []string
		if strings.HasPrefix(name, "_") {
			_, records, _ := resolver.LookupSRV(context.Background(), "", "", name)
			for _, record := range records {
				found = append(found, fmt.Sprintf("%d:%s", record.Port, strings.TrimSuffix(record.Target, ".")))
			}
		} else {
			found, _ = resolver.LookupHost(context.Background(), name)
		}
		fmt.Println(name, time.Since(begin).Milliseconds(), strings.Join(found, " "))
	}
}
