// Prints a line for every cost event: those that stand in ai.costs, and then each new one, until Ctrl-C.
//
//	go run . localhost:9092 http://localhost:8081
//
// The first argument is Kafka, the second Penstock's schema catalogue or a Confluent-compatible registry. No schema is
// copied here: each record names the one that it was written with, and the catalogue has it.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "ai.costs"

// CostEvent has the fields that are printed. Others that the writer has are passed over.
type CostEvent struct {
	RequestID   string    `avro:"request_id"`
	Kind        string    `avro:"kind"`
	Tenant      string    `avro:"tenant"`
	Deployment  string    `avro:"deployment"`
	OccurredAt  time.Time `avro:"occurred_at"`
	CostNanousd *int64    `avro:"cost_nanousd"`
}

func (e CostEvent) String() string {
	at := e.OccurredAt.UTC().Truncate(time.Second).Format(time.RFC3339)
	return fmt.Sprintf("%s %s %s %s %s %s", at, e.Tenant, e.Deployment, e.Kind, e.RequestID, dollars(e.CostNanousd))
}

// An amount is an integer of 1e-9 dollars, and stays one. A price that is not known is not zero.
func dollars(nanousd *int64) string {
	if nanousd == nil {
		return "price unknown"
	}
	sign, amount := "", *nanousd
	if amount < 0 {
		sign, amount = "-", -amount
	}
	return fmt.Sprintf("%s$%d.%09d", sign, amount/1_000_000_000, amount%1_000_000_000)
}

// Catalogue fetches each schema once, by its id.
type Catalogue struct {
	url   string
	known map[uint32]avro.Schema
}

func (c *Catalogue) schema(ctx context.Context, id uint32) (avro.Schema, error) {
	if schema, ok := c.known[id]; ok {
		return schema, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/schemas/ids/%d/schema", c.url, id), nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1_000_000))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the catalogue answers %s for schema %d: %s", answer.Status, id, text)
	}
	schema, err := avro.ParseBytes(text)
	if err != nil {
		return nil, err
	}
	c.known[id] = schema
	return schema, nil
}

// A value is a zero byte, the schema's id in four bytes, and the Avro body.
func (c *Catalogue) decode(ctx context.Context, value []byte) (event CostEvent, err error) {
	if len(value) < 5 || value[0] != 0 {
		return event, errors.New("no Confluent framing")
	}
	schema, err := c.schema(ctx, binary.BigEndian.Uint32(value[1:5]))
	if err != nil {
		return event, err
	}
	return event, avro.Unmarshal(schema, value[5:], &event)
}

func run(ctx context.Context, brokers, catalogueURL string) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), // without it, what an aborted transaction left behind is seen too
	)
	if err != nil {
		return err
	}
	defer client.Close()
	catalogue := &Catalogue{url: strings.TrimRight(catalogueURL, "/"), known: map[uint32]avro.Schema{}}
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			event, err := catalogue.decode(ctx, record.Value)
			if err != nil {
				log.Printf("%s[%d]@%d cannot be read: %v", record.Topic, record.Partition, record.Offset, err)
				continue
			}
			fmt.Println(event)
		}
	}
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: go run . KAFKA CATALOGUE, e.g. localhost:9092 http://localhost:8081")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
