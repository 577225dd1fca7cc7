// Three small services in one: Go's own HTTP server and MongoDB's driver for Go. MODE=fixed is the code after its fixes.
//
//	POST /seats/{seat}        {"who": …}   books a seat; 409 if it is taken
//	POST /invoices/{company}  {"for": …}   the company's next invoice, numbered without gaps
//	POST /orders/{order}                   an order, whose event waits in an outbox
//	POST /outbox/{order}                   sends what waits, as a job on each instance does
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/x/mongo/driver/connstring"
)

type answer = map[string]any

type service struct {
	database *mongo.Database
	fixed    bool
}

func (s service) bookSeat(ctx context.Context, seat string, body answer) (int, answer, error) {
	bookings := s.database.Collection("bookings")
	taken := answer{"error": "taken"}
	switch err := bookings.FindOne(ctx, bson.M{"seat": seat}).Err(); {
	case err == nil:
		return http.StatusConflict, taken, nil
	case !errors.Is(err, mongo.ErrNoDocuments):
		return 0, nil, err
	}
	booked, err := bookings.InsertOne(ctx, bson.M{"seat": seat, "who": body["who"]})
	if mongo.IsDuplicateKeyError(err) {
		return http.StatusConflict, taken, nil
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, answer{"id": booked.InsertedID}, nil
}

// nextNumber takes the company's next number in one command.
func (s service) nextNumber(ctx context.Context, company string) (int, error) {
	var counter struct{ Next int }
	after := options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)
	for {
		err := s.database.Collection("counters").
			FindOneAndUpdate(ctx, bson.M{"_id": company}, bson.M{"$inc": bson.M{"next": 1}}, after).
			Decode(&counter)
		// The loser of the race to create the counter finds it the second time.
		if !mongo.IsDuplicateKeyError(err) {
			return counter.Next, err
		}
	}
}

func (s service) lastNumber(ctx context.Context, company string) (int, error) {
	var invoice struct{ Number int }
	last := options.FindOne().SetSort(bson.M{"number": -1})
	err := s.database.Collection("invoices").FindOne(ctx, bson.M{"company": company}, last).Decode(&invoice)
	if errors.Is(err, mongo.ErrNoDocuments) {
		err = nil
	}
	return invoice.Number, err
}

func (s service) addInvoice(ctx context.Context, company string, body answer) (int, answer, error) {
	number, err := 0, error(nil)
	if s.fixed {
		number, err = s.nextNumber(ctx, company)
	} else if number, err = s.lastNumber(ctx, company); err == nil {
		number++
	}
	if err != nil {
		return 0, nil, err
	}
	invoice := bson.M{"company": company, "number": number, "for": body["for"]}
	if _, err := s.database.Collection("invoices").InsertOne(ctx, invoice); err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, answer{"number": fmt.Sprintf("INV-%05d", number)}, nil
}

type event struct {
	ID primitive.ObjectID `bson:"_id"`
}

func (s service) addOrder(ctx context.Context, order string, _ answer) (int, answer, error) {
	_, err := s.database.Collection("outbox").InsertOne(ctx, bson.M{"order": order, "state": "new"})
	return http.StatusCreated, answer{"order": order}, err
}

// waiting are the events that this job sends: it takes one, or looks at what nobody has sent.
func (s service) waiting(ctx context.Context, order string) ([]event, error) {
	outbox, unsent := s.database.Collection("outbox"), bson.M{"order": order, "state": "new"}
	if s.fixed {
		var taken event
		err := outbox.FindOneAndUpdate(ctx, unsent, bson.M{"$set": bson.M{"state": "taken"}}).Decode(&taken)
		if errors.Is(err, mongo.ErrNoDocuments) {
			return nil, nil
		}
		return []event{taken}, err
	}
	found, err := outbox.Find(ctx, unsent)
	if err != nil {
		return nil, err
	}
	var events []event
	err = found.All(ctx, &events)
	return events, err
}

func (s service) sendEvents(ctx context.Context, order string, _ answer) (int, answer, error) {
	events, err := s.waiting(ctx, order)
	if err != nil {
		return 0, nil, err
	}
	for _, event := range events {
		sent := bson.M{"event": event.ID, "order": order}
		if _, err := s.database.Collection("sent").InsertOne(ctx, sent); err != nil {
			return 0, nil, err
		}
		done := bson.M{"$set": bson.M{"state": "sent"}}
		if _, err := s.database.Collection("outbox").UpdateByID(ctx, event.ID, done); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusOK, answer{"sent": len(events)}, nil
}

type handler func(ctx context.Context, name string, body answer) (int, answer, error)

func route(path string, handle handler) {
	http.HandleFunc(path, func(response http.ResponseWriter, request *http.Request) {
		var body answer
		if request.ContentLength > 0 {
			if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
				http.Error(response, err.Error(), http.StatusBadRequest)
				return
			}
		}
		status, said, err := handle(request.Context(), strings.TrimPrefix(request.URL.Path, path), body)
		if err != nil {
			status, said = http.StatusInternalServerError, answer{"error": err.Error()}
		}
		response.Header().Set("Content-Type", "application/json")
		response.WriteHeader(status)
		if err := json.NewEncoder(response).Encode(said); err != nil {
			log.Print(err)
		}
	})
}

func main() {
	uri := os.Getenv("MONGO_URL")
	parsed, err := connstring.ParseAndValidate(uri)
	if err != nil {
		log.Fatal(err)
	}
	client, err := mongo.Connect(context.Background(), options.Client().ApplyURI(uri))
	if err != nil {
		log.Fatal(err)
	}
	s := service{client.Database(parsed.Database), os.Getenv("MODE") == "fixed"}
	if s.fixed {
		unique := mongo.IndexModel{Keys: bson.M{"seat": 1}, Options: options.Index().SetUnique(true)}
		if _, err := s.database.Collection("bookings").Indexes().CreateOne(context.Background(), unique); err != nil {
			log.Fatal(err)
		}
	}
	route("/seats/", s.bookSeat)
	route("/invoices/", s.addInvoice)
	route("/orders/", s.addOrder)
	route("/outbox/", s.sendEvents)
	http.HandleFunc("/health", func(http.ResponseWriter, *http.Request) {})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
